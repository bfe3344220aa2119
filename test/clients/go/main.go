// A program written against the Go client, which test/clients/clients.test.ts compiles and runs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	posthorn "github.com/posthorn/posthorn/clients/go"
	"github.com/posthorn/posthorn/clients/go/api"
)

func main() {
	done, err := day(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(done)
}

func day(ctx context.Context) (map[string]any, error) {
	receiver := os.Getenv("RECEIVER_URL")
	client, err := posthorn.New(os.Getenv("API_URL"), os.Getenv("API_KEY"), posthorn.WithRetries(4, 10*time.Millisecond))
	if err != nil {
		return nil, err
	}
	// Without a URL, a subscription is pulled.
	wrong := "ftp://example.com"
	answer, err := client.API.CreateSubscriptionWithResponse(ctx, nil, api.CreateSubscriptionJSONRequestBody{Url: &wrong})
	var refused *posthorn.Error
	if err != nil || !errors.As(posthorn.Check(answer.HTTPResponse, answer.Body), &refused) {
		return nil, fmt.Errorf("that should not have worked: %w", err)
	}
	generate := true
	created, err := client.API.CreateSubscriptionWithResponse(ctx, nil, api.CreateSubscriptionJSONRequestBody{
		Url:            &receiver,
		EventTypes:     &[]string{"order.*"},
		GenerateSecret: &generate,
	})
	if err != nil {
		return nil, err
	}
	if err := posthorn.Check(created.HTTPResponse, created.Body); err != nil {
		return nil, err
	}
	sent := []string{}
	for id := 1; id <= 5; id++ {
		webhook, err := client.Send(ctx, "order.created", map[string]int{"id": id})
		if err != nil {
			return nil, err
		}
		sent = append(sent, webhook.WebhookId.String())
	}
	listed := []string{}
	limit := 2
	for delivery, err := range client.Deliveries(ctx, api.ListDeliveriesParams{Limit: &limit}) {
		if err != nil {
			return nil, err
		}
		listed = append(listed, delivery.WebhookId.String())
	}
	verified, forged, err := verify(receiver, *created.JSON201.Secret)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"refused":  map[string]any{"status": refused.Status, "field": refused.Fields[0].Field},
		"sent":     sent,
		"listed":   listed,
		"verified": verified,
		"forged":   forged,
	}, nil
}

func verify(receiver, secret string) (string, string, error) {
	answer, err := http.Get(receiver)
	if err != nil {
		return "", "", err
	}
	defer answer.Body.Close()
	var received struct {
		Headers map[string]string
		Body    string
	}
	if err := json.NewDecoder(answer.Body).Decode(&received); err != nil {
		return "", "", err
	}
	headers := http.Header{}
	for name, value := range received.Headers {
		headers.Set(name, value)
	}
	if err := posthorn.Verify(secret, []byte(received.Body), headers); err != nil {
		return "", "", err
	}
	var webhook struct{ Type string }
	if err := json.Unmarshal([]byte(received.Body), &webhook); err != nil {
		return "", "", err
	}
	forged := "taken"
	if posthorn.Verify(secret, []byte(strings.Replace(received.Body, "order", "older", 1)), headers) != nil {
		forged = "refused"
	}
	return webhook.Type, forged, nil
}
