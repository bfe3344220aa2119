package posthorn

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const maxWait = 10 * time.Second

// retryTransport repeats requests, if that cannot do a thing twice: reads, and those with an Idempotency-Key. Any
// request is repeated that was refused for its rate. The wait is that of Retry-After, or else a random part of one that
// doubles, so that clients which failed together do not come back together.
type retryTransport struct {
	next     http.RoundTripper
	attempts int
	wait     time.Duration
	timeout  time.Duration
}

func (t *retryTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		isLast := attempt >= t.attempts
		try, cancel, err := t.tryOf(request)
		if err != nil {
			return nil, err
		}
		response, err := t.next.RoundTrip(try)
		wait := time.Duration(rand.Float64() * float64(min(maxWait, t.wait<<min(attempt-1, 16))))
		if err != nil {
			cancel()
			if isLast || request.Context().Err() != nil || !isRepeatable(request) {
				return nil, err
			}
		} else if isLast || !mayRepeat(request, response) {
			response.Body = &cancelingBody{response.Body, cancel}
			return response, nil
		} else {
			response.Body.Close()
			cancel()
			if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
				wait = min(maxWait, time.Duration(seconds)*time.Second)
			}
		}
		select {
		case <-time.After(wait):
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
}

// tryOf returns a request of its own for a try, whose body can be read again, with the time limit of a try.
func (t *retryTransport) tryOf(request *http.Request) (*http.Request, context.CancelFunc, error) {
	ctx, cancel := context.WithTimeout(request.Context(), t.timeout)
	try := request.Clone(ctx)
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			cancel()
			return nil, nil, err
		}
		try.Body = body
	}
	return try, cancel, nil
}

// cancelingBody frees what the time limit of a try needs, when the answer has been read.
type cancelingBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelingBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

func isRepeatable(request *http.Request) bool {
	if request.Body != nil && request.GetBody == nil {
		return false
	}
	return request.Method == http.MethodGet || request.Header.Get("Idempotency-Key") != ""
}

func mayRepeat(request *http.Request, response *http.Response) bool {
	switch status := response.StatusCode; {
	case status == http.StatusTooManyRequests:
		return request.Body == nil || request.GetBody != nil
	case !isRepeatable(request):
		return false
	case status == http.StatusConflict:
		// The key is in use by an earlier try that has not ended.
		return response.Header.Get("Retry-After") != ""
	default:
		return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
	}
}
