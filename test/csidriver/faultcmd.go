package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lull-dev/lull/test/csidriver/fault"
)

func faultCommand(dataDir *string) *cobra.Command {
	client := func() fault.Client { return fault.Client{Socket: controlSocket(*dataDir)} }
	cmd := &cobra.Command{Use: "fault", Short: "Make a running driver misbehave"}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "set KEY=VALUE...",
			Short:   "Set these faults, and no others",
			Example: "  csidriver fault set cutDelay=5s times=1",
			Args:    cobra.MinimumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				params, err := pairs(args)
				if err != nil {
					return err
				}
				return show(cmd, func(ctx context.Context) (fault.Params, error) { return client().Set(ctx, params) })
			},
		},
		&cobra.Command{
			Use:   "clear",
			Short: "End all faults that were set",
			Args:  cobra.NoArgs,
			RunE:  func(cmd *cobra.Command, _ []string) error { return show(cmd, client().Clear) },
		},
		&cobra.Command{
			Use:   "show",
			Short: "Print the faults that are set",
			Args:  cobra.NoArgs,
			RunE:  func(cmd *cobra.Command, _ []string) error { return show(cmd, client().Show) },
		},
	)
	return cmd
}

// show does the call and prints the faults that are set after it.
func show(cmd *cobra.Command, call func(context.Context) (fault.Params, error)) error {
	params, err := call(cmd.Context())
	if err != nil {
		return err
	}
	return json.NewEncoder(cmd.OutOrStdout()).Encode(params)
}

func pairs(args []string) (fault.Params, error) {
	params := fault.Params{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form key=value", arg)
		}
		params[key] = value
	}
	return params, nil
}
