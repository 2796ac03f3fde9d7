package framework

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestACheckThatComesTooLateIsAClients(t *testing.T) {
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	limiter := rate.NewLimiter(rate.Every(time.Hour), 1)
	limiter.Allow()
	late := fmt.Errorf("client rate limiter Wait returned an error: %w", limiter.Wait(soon))
	if !isTooLate(errors.Join(errors.New("it is Pending"), fmt.Errorf("list: %w", late))) {
		t.Errorf("not too late: %v", late)
	}
	if isTooLate(errors.New("it is Pending: " + late.Error())) {
		t.Error("what a status says is taken for it")
	}
	if isTooLate(nil) || isTooLate(errors.New("no")) {
		t.Error("any is")
	}
}
