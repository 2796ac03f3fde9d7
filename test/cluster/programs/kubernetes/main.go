// Command kubernetes is every program of a Kubernetes cluster in one binary.
//
// They share most of their code, so that one binary is a quarter of the size
// of seven and takes far less time to link. It runs the program that its first
// argument names, or that it is itself called by: a link to it called
// kube-apiserver is a kube-apiserver.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// programs are what this binary can be. Each takes its arguments from os.Args,
// as it would in a binary of its own, and returns its exit code.
var programs = map[string]func() int{
	"etcd":                    runEtcd,
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllermanager.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
	"kube-proxy":              func() int { return cli.Run(proxy.NewProxyCommand()) },
	"kubelet":                 runKubelet,
	"kubectl":                 runKubectl,
}

func runEtcd() int {
	etcdmain.Main(os.Args)
	return 0
}

func runKubelet() int {
	return cli.Run(kubelet.NewKubeletCommand(context.Background()))
}

func runKubectl() int {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
	return 0
}

func main() {
	program, args := choose(os.Args)
	run, ok := programs[program]
	if !ok {
		fmt.Fprintf(os.Stderr, "%q is none of the programs in this binary\n", program)
		os.Exit(2)
	}
	os.Args = args
	os.Exit(run())
}

// choose returns the program that a command line asks for, and the command line
// that this program expects.
func choose(commandLine []string) (program string, args []string) {
	program = filepath.Base(commandLine[0])
	if _, ok := programs[program]; ok || len(commandLine) < 2 {
		return program, commandLine
	}
	return commandLine[1], commandLine[1:]
}
