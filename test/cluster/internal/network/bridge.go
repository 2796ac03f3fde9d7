// Package network makes the bridge that pods and node meet on, and the rules
// that keep what they say to each other on this machine.
package network

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/lull-dev/lull/test/cluster/internal/layout"
)

// Up makes what is missing of the bridge, its address and its route.
func Up() error {
	link, err := bridge()
	if err != nil {
		return fmt.Errorf("bridge %s: %w", layout.Bridge, err)
	}
	address, err := netlink.ParseAddr(layout.NodeIP + "/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	return routeServices(link)
}

func bridge() (netlink.Link, error) {
	link, err := netlink.LinkByName(layout.Bridge)
	if err == nil {
		return link, nil
	}
	if !errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, err
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = layout.Bridge
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attributes}); err != nil {
		return nil, err
	}
	return netlink.LinkByName(layout.Bridge)
}

// routeServices sends what is addressed to services to the bridge. kube-proxy
// translates it before it gets there; without kube-proxy it ends there, also
// where the machine has no other route.
func routeServices(link netlink.Link) error {
	_, services, err := net.ParseCIDR(layout.Services)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{
		LinkIndex: link.Attrs().Index,
		Dst:       services,
		Src:       net.ParseIP(layout.NodeIP),
	})
}

// Down removes the bridge, and with it addresses, routes and the pods' ends.
func Down() error {
	link, err := netlink.LinkByName(layout.Bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := removePorts(link); err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

// removePorts removes the pods' ends of the bridge, which a pod's network
// namespace that lives on would keep.
func removePorts(bridge netlink.Link) error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, link := range links {
		if link.Attrs().MasterIndex != bridge.Attrs().Index {
			continue
		}
		if err := netlink.LinkDel(link); err != nil && !errors.Is(err, syscall.ENODEV) {
			return fmt.Errorf("remove %s: %w", link.Attrs().Name, err)
		}
	}
	return nil
}
