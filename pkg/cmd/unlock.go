package cmd

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"
)

// unlockCommand are the flags of unlock, as typed.
type unlockCommand struct {
	all   bool
	force bool
}

func newUnlock(a *app) *cobra.Command {
	u := &unlockCommand{}
	c := &cobra.Command{
		Use:   "unlock",
		Short: "Release a lock that a dead run left",
		Long: templates.LongDesc(`
			Release a lock that a dead run left.

			apply locks the Kustomizations of a namespace while it runs. A lock that is not
			renewed expires, and the next run takes it over; unlock waits for that and
			releases it. One that is renewed belongs to a run that is alive: it stays, unless
			--force says otherwise. That run then stops before it writes again.`) + "\n\n " + unlockExitHelp,
		Example: templates.Examples(`
			# Release the lock of the Kustomizations in flux-system
			kubectl fluxjob unlock -n flux-system`),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return u.run(c.Context(), a)
		},
	}
	c.Flags().BoolVarP(&u.all, "all-namespaces", "A", false, "The locks of all namespaces.")
	c.Flags().BoolVar(&u.force, "force", false, "Release a lock whose run is still alive, too.")
	return c
}

func (u *unlockCommand) run(ctx context.Context, a *app) error {
	var namespaces []string
	if !u.all {
		namespace, err := a.namespace()
		if err != nil {
			return err
		}
		namespaces = append(namespaces, namespace)
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	holders, err := client.Locks(ctx, namespaces...)
	if err != nil {
		return err
	}
	if len(holders) == 0 {
		_, _ = fmt.Fprintln(a.streams.Out, "nothing is locked")
		return nil
	}
	lock, ctx := client.NewLock(ctx, a.holder(ctx, client))
	defer lock.Release(ctx)
	for _, namespace := range slices.Sorted(maps.Keys(holders)) {
		if u.force {
			err = client.Unlock(ctx, namespace)
		} else {
			_, err = lock.Acquire(ctx, []string{namespace}, false, 0)
		}
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(a.streams.Out, "the lock of namespace %s was released, %s held it\n", namespace, holders[namespace])
	}
	return nil
}
