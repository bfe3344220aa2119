package posthorn

import (
	"context"
	"iter"

	"github.com/posthorn/posthorn/clients/go/api"
)

// rows iterates over the rows of all pages. A page is read when its rows are asked for.
func rows[Row any](read func(cursor *string) ([]Row, *string, error)) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var cursor *string
		for {
			page, next, err := read(cursor)
			if err != nil {
				var none Row
				yield(none, err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			cursor = next
		}
	}
}

// Tenants iterates over all tenants that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) Tenants(ctx context.Context, params api.ListTenantsParams) iter.Seq2[api.Tenant, error] {
	return rows(func(cursor *string) ([]api.Tenant, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListTenantsWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}

// Keys iterates over all keys that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) Keys(ctx context.Context, params api.ListKeysParams) iter.Seq2[api.Key, error] {
	return rows(func(cursor *string) ([]api.Key, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListKeysWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}

// Subscriptions iterates over all subscriptions that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) Subscriptions(ctx context.Context, params api.ListSubscriptionsParams) iter.Seq2[api.SubscriptionRow, error] {
	return rows(func(cursor *string) ([]api.SubscriptionRow, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListSubscriptionsWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}

// EventTypes iterates over all event types that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) EventTypes(ctx context.Context, params api.ListEventTypesParams) iter.Seq2[api.EventType, error] {
	return rows(func(cursor *string) ([]api.EventType, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListEventTypesWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}

// Webhooks iterates over all webhooks that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) Webhooks(ctx context.Context, params api.ListWebhooksParams) iter.Seq2[api.ListedWebhook, error] {
	return rows(func(cursor *string) ([]api.ListedWebhook, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListWebhooksWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}

// Deliveries iterates over all deliveries that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) Deliveries(ctx context.Context, params api.ListDeliveriesParams) iter.Seq2[api.Delivery, error] {
	return rows(func(cursor *string) ([]api.Delivery, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListDeliveriesWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}

// Attempts iterates over all attempts that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) Attempts(ctx context.Context, params api.ListAttemptsParams) iter.Seq2[api.ListedAttempt, error] {
	return rows(func(cursor *string) ([]api.ListedAttempt, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListAttemptsWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}

// Problems iterates over all problems of receivers that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) Problems(ctx context.Context, params api.ListProblemsParams) iter.Seq2[api.ReceiverProblem, error] {
	return rows(func(cursor *string) ([]api.ReceiverProblem, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListProblemsWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}

// Tasks iterates over all tasks that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) Tasks(ctx context.Context, params api.ListTasksParams) iter.Seq2[api.Task, error] {
	return rows(func(cursor *string) ([]api.Task, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListTasksWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}

// Watches iterates over all watches of tables that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) Watches(ctx context.Context, params api.ListWatchesParams) iter.Seq2[api.Watch, error] {
	return rows(func(cursor *string) ([]api.Watch, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListWatchesWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}

// Backfills iterates over all backfills that match. Limit is the number of rows of a page. The last pair has the error, if there
// is one.
func (c *Client) Backfills(ctx context.Context, params api.ListBackfillsParams) iter.Seq2[api.Backfill, error] {
	return rows(func(cursor *string) ([]api.Backfill, *string, error) {
		params.Cursor = cursor
		answer, err := c.API.ListBackfillsWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		if err := Check(answer.HTTPResponse, answer.Body); err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Data, answer.JSON200.NextCursor, nil
	})
}
