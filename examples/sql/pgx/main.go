// go run .
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

type order struct {
	ID       int    `json:"id"`
	Customer string `json:"customer"`
	Total    int    `json:"total"`
}

// placeOrder stores the order and sends the webhook in one transaction: both happen, or neither.
func placeOrder(ctx context.Context, conn *pgx.Conn, o order) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		insert := "insert into orders (customer, total) values ($1, $2) returning id"
		if err := tx.QueryRow(ctx, insert, o.Customer, o.Total).Scan(&o.ID); err != nil {
			return err
		}
		data, err := json.Marshal(o)
		if err != nil {
			return err
		}
		var webhookID pgtype.UUID
		send := "select posthorn.send('order.created', $1::text::jsonb)"
		if err := tx.QueryRow(ctx, send, string(data)).Scan(&webhookID); err != nil {
			return err
		}
		fmt.Printf("order %d: webhook %s\n", o.ID, webhookID)
		if o.Total > 50_000 {
			return errors.New("payment declined")
		}
		return nil
	})
}

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := placeOrder(ctx, conn, order{Customer: "Zoë", Total: 1250}); err != nil {
		log.Fatal(err)
	}
	// This order is rolled back, and its webhook with it.
	err = placeOrder(ctx, conn, order{Customer: "Zoë", Total: 99_000})
	fmt.Println("rolled back:", err)
}
