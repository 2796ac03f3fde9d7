package integration

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
)

// A cluster that was without power starts in any order. A manager that ended for
// want of an API server would stand in the kubelet's back-off when there is one.
func TestAManagerStartsBeforeTheAPIServer(t *testing.T) {
	t.Parallel()
	server := anAddress(t)
	p := startProgram(t, server)
	p.says("waits for the API server")
	p.answers("healthz", http.StatusOK)
	p.answers("readyz", http.StatusServiceUnavailable)

	forward(t, server)
	p.answers("readyz", http.StatusOK)
	p.says("ttempting to acquire leader lease")
}

// anAddress is one of this machine where nobody listens.
func anAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = listener.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

// forward has the API server be there at an address, until the test ends.
func forward(t *testing.T, address string) {
	t.Helper()
	is, _, err := rest.DefaultServerUrlFor(environment.Config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", is.Host)
			if err != nil {
				client.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
				go func() {
					_, _ = io.Copy(way[0], way[1]) // either side may end it
					way[0].Close()
				}()
			}
		}
	}()
}

// program is the manager as it is shipped, a process, with the rights of its service
// account. It never works: somebody else has its lease, and what is in the
// namespaces of other tests is theirs.
type program struct {
	*testing.T
	probes string
	ended  chan struct{}

	mu  sync.Mutex
	log strings.Builder
}

// startProgram starts it with an API server at an address.
func startProgram(t *testing.T, server string) *program {
	t.Helper()
	folder := t.TempDir()
	binary := filepath.Join(folder, "manager")
	if said, err := exec.Command("go", "build", "-tags=grpcnotrace", "-o", binary, "../../cmd/manager").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	leaseIsTaken(t)
	p := &program{T: t, probes: anAddress(t), ended: make(chan struct{})}
	cmd := exec.Command(binary, "--leader-elect", "--metrics-bind-address=0", "--health-probe-bind-address="+p.probes, "--image=none")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig(t, folder, "https://"+server), "POD_NAMESPACE="+systemNamespace, "POD_NAME=here")
	cmd.Stdout, cmd.Stderr = p, p
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is in its log
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		<-p.ended
	})
	return p
}

// leaseIsTaken has somebody else be the manager that works.
func leaseIsTaken(t *testing.T) {
	t.Helper()
	now := metav1.NowMicro()
	err := admin.Create(t.Context(), &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "lull-manager"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("somebody-else"), LeaseDurationSeconds: ptr.To[int32](3600), AcquireTime: &now, RenewTime: &now,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// kubeconfig is that of the manager's service account, at another address.
func kubeconfig(t *testing.T, folder, server string) string {
	t.Helper()
	as := asManager
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: as.CAData}
	config.AuthInfos["manager"] = &clientcmdapi.AuthInfo{
		ClientCertificateData: as.CertData, ClientKeyData: as.KeyData,
		Impersonate: as.Impersonate.UserName, ImpersonateGroups: as.Impersonate.Groups,
	}
	config.Contexts["manager"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "manager"}
	config.CurrentContext = "manager"
	path := filepath.Join(folder, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// says waits until its log has words in it.
func (p *program) says(words string) {
	p.Helper()
	p.eventually("it says "+words, func() bool { return strings.Contains(p.said(), words) })
}

// answers waits until a probe has that status.
func (p *program) answers(probe string, status int) {
	p.Helper()
	p.eventually(probe+" answers "+http.StatusText(status), func() bool {
		answer, err := http.Get("http://" + p.probes + "/" + probe)
		return err == nil && answer.Body.Close() == nil && answer.StatusCode == status
	})
}

// eventually waits, for as long as it lives.
func (p *program) eventually(what string, holds func() bool) {
	p.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(50 * time.Millisecond); !holds(); {
		select {
		case <-tick.C:
		case <-p.ended:
			p.Fatalf("it ended before %s:\n%s", what, p.said())
		case <-deadline:
			p.Fatalf("never came true: %s\n%s", what, p.said())
		}
	}
}
