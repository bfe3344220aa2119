// A program written against the client that ogen makes from the document.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/go-faster/jx"
	"posthorn.example/clients/ogen/client"
)

type key string

func (k key) BearerAuth(context.Context, client.OperationName) (client.BearerAuth, error) {
	return client.BearerAuth{Token: string(k)}, nil
}

func main() {
	done, err := day(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(done)
}

func day(ctx context.Context) (map[string]any, error) {
	posthorn, err := client.NewClient(os.Getenv("API_URL"), key(os.Getenv("API_KEY")))
	if err != nil {
		return nil, err
	}
	answer, err := posthorn.CreateSubscription(ctx, &client.CreateSubscriptionReq{URL: client.NewNilString("ftp://example.com")}, client.CreateSubscriptionParams{})
	if err != nil {
		return nil, err
	}
	refused, ok := answer.(*client.CreateSubscriptionBadRequest)
	if !ok {
		return nil, fmt.Errorf("%T: %+v", answer, answer)
	}
	answer, err = posthorn.CreateSubscription(ctx, &client.CreateSubscriptionReq{
		URL:        client.NewNilString(os.Getenv("RECEIVER_URL")),
		EventTypes: client.NewOptNilStringArray([]string{"order.*"}),
	}, client.CreateSubscriptionParams{})
	if err != nil {
		return nil, err
	}
	created, ok := answer.(*client.CreateSubscriptionCreated)
	if !ok {
		return nil, fmt.Errorf("%T: %+v", answer, answer)
	}
	list, err := posthorn.ListSubscriptions(ctx, client.ListSubscriptionsParams{Limit: client.NewOptInt(10)})
	if err != nil {
		return nil, err
	}
	page, ok := list.(*client.ListSubscriptionsOKHeaders)
	if !ok {
		return nil, fmt.Errorf("%T: %+v", list, list)
	}
	urls := []string{}
	for _, one := range page.Response.Data {
		urls = append(urls, one.URL.Value)
	}
	acceptance, err := posthorn.SendWebhook(ctx, &client.SendWebhookReq{
		EventType: "order.created",
		Data:      jx.Raw(`{"id":7}`),
	}, client.SendWebhookParams{})
	if err != nil {
		return nil, err
	}
	sent, ok := acceptance.(*client.AcceptedWebhook)
	if !ok {
		return nil, fmt.Errorf("%T: %+v", acceptance, acceptance)
	}
	intake, err := posthorn.Ingest(ctx, jx.Raw(`{"id":8}`), client.IngestParams{SubscriptionID: created.ID})
	if err != nil {
		return nil, err
	}
	ingested, ok := intake.(*client.IngestAccepted)
	if !ok {
		return nil, fmt.Errorf("%T: %+v", intake, intake)
	}
	return map[string]any{
		"refused":  refused.Errors[0].Field,
		"listed":   urls,
		"sent":     sent.WebhookID,
		"ingested": ingested.WebhookID,
	}, nil
}
