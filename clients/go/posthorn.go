// Package posthorn is a client for Posthorn, the webhook delivery service.
//
// [Client.API] has a function for each route, generated from the OpenAPI document; this package adds retries,
// iterators over lists, errors, and the verification of webhooks that were received.
package posthorn

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/posthorn/posthorn/clients/go/api"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Client is a client of a running Posthorn. Goroutines may share it.
type Client struct {
	// API has a function for each route. Check tells whether an answer is an error.
	API *api.ClientWithResponses
}

type options struct {
	attempts  int
	wait      time.Duration
	timeout   time.Duration
	transport http.RoundTripper
}

// Option changes how a Client works.
type Option func(*options)

// WithRetries sets how often a request is sent at most (4 by default; 1: it is never repeated), and the wait before the
// second try (250 ms), which doubles for each further one.
func WithRetries(attempts int, wait time.Duration) Option {
	return func(o *options) { o.attempts, o.wait = attempts, wait }
}

// WithTimeout sets after which time a try without an answer has failed (30 s).
func WithTimeout(timeout time.Duration) Option {
	return func(o *options) { o.timeout = timeout }
}

// WithTransport sets another transport than http.DefaultTransport.
func WithTransport(transport http.RoundTripper) Option {
	return func(o *options) { o.transport = transport }
}

// New creates a client of the Posthorn at url, such as https://webhooks.example.com. Without a key (""), requests have
// no Authorization.
func New(url, key string, changes ...Option) (*Client, error) {
	o := options{attempts: 4, wait: 250 * time.Millisecond, timeout: 30 * time.Second, transport: http.DefaultTransport}
	for _, change := range changes {
		change(&o)
	}
	client := &http.Client{Transport: &retryTransport{next: o.transport, attempts: o.attempts, wait: o.wait, timeout: o.timeout}}
	made, err := api.NewClientWithResponses(url, api.WithHTTPClient(client), api.WithRequestEditorFn(
		func(_ context.Context, request *http.Request) error {
			if key != "" {
				request.Header.Set("Authorization", "Bearer "+key)
			}
			return nil
		}))
	if err != nil {
		return nil, err
	}
	return &Client{API: made}, nil
}

// SendOption changes the webhook that Send sends, or the parameters of its request.
type SendOption func(*api.SendWebhookJSONRequestBody, *api.SendWebhookParams)

// WithIdempotencyKey sets a key of your own, by which also a later call is no second webhook for 24 hours.
func WithIdempotencyKey(key string) SendOption {
	return func(_ *api.SendWebhookJSONRequestBody, params *api.SendWebhookParams) { params.IdempotencyKey = &key }
}

// Send sends a webhook to all subscriptions that want its type. data is anything that encoding/json can express. The
// webhook has an idempotency key, so it is repeated without being accepted twice. It returns an *Error if Posthorn
// refuses it.
func (c *Client) Send(ctx context.Context, eventType string, data any, changes ...SendOption) (*api.AcceptedWebhook, error) {
	key := uuid.NewString()
	params := api.SendWebhookParams{IdempotencyKey: &key}
	body := api.SendWebhookJSONRequestBody{EventType: eventType, Data: data}
	for _, change := range changes {
		change(&body, &params)
	}
	answer, err := c.API.SendWebhookWithResponse(ctx, &params, body)
	if err != nil {
		return nil, err
	}
	if err := Check(answer.HTTPResponse, answer.Body); err != nil {
		return nil, err
	}
	return answer.JSON202, nil
}

// FieldError is a field of a request that is wrong, such as body.url, and why.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error says that Posthorn has refused a request, or could not do it.
type Error struct {
	// Status is the status of the answer.
	Status int `json:"-"`
	// Type tells programs what is wrong (RFC 9457); empty if the answer is not Posthorn's, but that of a proxy.
	Type   string       `json:"type"`
	Detail string       `json:"detail"`
	Fields []FieldError `json:"errors"`
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("posthorn answered %d", e.Status)
	}
	parts := []string{e.Detail}
	for _, one := range e.Fields {
		parts = append(parts, one.Field+" "+one.Message)
	}
	return strings.Join(parts, " ")
}

// Check returns an *Error for an answer that is an error, and nil for any other:
//
//	answer, err := client.API.GetStatsWithResponse(ctx, nil)
//	if err == nil {
//		err = posthorn.Check(answer.HTTPResponse, answer.Body)
//	}
func Check(response *http.Response, body []byte) error {
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return nil
	}
	problem := &Error{}
	if json.Unmarshal(body, problem) != nil {
		problem = &Error{}
	}
	problem.Status = response.StatusCode
	return problem
}

// Verify returns an error unless a webhook that was received comes from the Posthorn that has the secret (whsec_…). The
// official library of Standard Webhooks does it: one of the signatures must be right, and the webhook at most five
// minutes old. body is the bytes that were received.
func Verify(secret string, body []byte, headers http.Header) error {
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	return webhook.Verify(body, headers)
}
