// A program written against the client that oapi-codegen makes from the document.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"posthorn.example/clients/oapi-codegen/client"
)

func main() {
	done, err := day(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(done)
}

func withKey(_ context.Context, request *http.Request) error {
	request.Header.Set("Authorization", "Bearer "+os.Getenv("API_KEY"))
	return nil
}

func day(ctx context.Context) (map[string]any, error) {
	posthorn, err := client.NewClientWithResponses(os.Getenv("API_URL"), client.WithRequestEditorFn(withKey))
	if err != nil {
		return nil, err
	}
	// A subscription whose URL is null is pulled.
	wrong, receiver := "ftp://example.com", os.Getenv("RECEIVER_URL")
	refused, err := posthorn.CreateSubscriptionWithResponse(ctx, nil, client.CreateSubscriptionJSONRequestBody{Url: &wrong})
	if err != nil {
		return nil, err
	}
	if refused.ApplicationproblemJSON400 == nil {
		return nil, fmt.Errorf("%s", refused.Body)
	}
	created, err := posthorn.CreateSubscriptionWithResponse(ctx, nil, client.CreateSubscriptionJSONRequestBody{
		Url:        &receiver,
		EventTypes: &[]string{"order.*"},
	})
	if err != nil {
		return nil, err
	}
	if created.JSON201 == nil {
		return nil, fmt.Errorf("%s", created.Body)
	}
	limit := 10
	list, err := posthorn.ListSubscriptionsWithResponse(ctx, &client.ListSubscriptionsParams{Limit: &limit})
	if err != nil {
		return nil, err
	}
	if list.JSON200 == nil {
		return nil, fmt.Errorf("%s", list.Body)
	}
	urls := []string{}
	for _, one := range list.JSON200.Data {
		urls = append(urls, *one.Url)
	}
	sent, err := posthorn.SendWebhookWithResponse(ctx, nil, client.SendWebhookJSONRequestBody{
		EventType: "order.created",
		Data:      map[string]int{"id": 7},
	})
	if err != nil {
		return nil, err
	}
	if sent.JSON202 == nil {
		return nil, fmt.Errorf("%s", sent.Body)
	}
	ingested, err := posthorn.IngestWithResponse(ctx, created.JSON201.Id, nil, map[string]int{"id": 8})
	if err != nil {
		return nil, err
	}
	if ingested.JSON202 == nil {
		return nil, fmt.Errorf("%s", ingested.Body)
	}
	return map[string]any{
		"refused":  (*refused.ApplicationproblemJSON400.Errors)[0].Field,
		"listed":   urls,
		"sent":     sent.JSON202.WebhookId,
		"ingested": ingested.JSON202.WebhookId,
	}, nil
}
