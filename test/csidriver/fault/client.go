package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Client talks to a running driver's control socket.
type Client struct {
	// Socket is the path of the control socket.
	Socket string
}

// Show returns the faults that are set.
func (c Client) Show(ctx context.Context) (Params, error) {
	return c.do(ctx, http.MethodGet, nil)
}

// Set replaces the faults.
func (c Client) Set(ctx context.Context, params Params) (Params, error) {
	return c.do(ctx, http.MethodPut, params)
}

// Clear ends all of them.
func (c Client) Clear(ctx context.Context) (Params, error) {
	return c.do(ctx, http.MethodDelete, nil)
}

func (c Client) do(ctx context.Context, method string, params Params) (Params, error) {
	body, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	// The host is never looked up: the dialer knows only the socket.
	request, err := http.NewRequestWithContext(ctx, method, "http://driver/faults", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := c.http().Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return read(response)
}

func (c Client) http() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
		},
	}}
}

func read(response *http.Response) (Params, error) {
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	params := Params{}
	return params, json.Unmarshal(text, &params)
}
