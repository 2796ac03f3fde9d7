package framework

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// RepositoryServer is a server that repositories are on: one pod with a volume,
// behind an address that stays. It lets in whom docs/repositories.md names, at the
// ports that are named there, and has a path or bucket of the name there.
type RepositoryServer struct {
	Application
	// Address is that of the server in the cluster, which StartServer finds.
	Address string
	// CA is the certificate, in PEM, of the authority that has signed the server's.
	// It is made by StartServer, where the server has TLS.
	CA []byte
	// Key is the private key, as ssh-keygen writes it, that an SSH server lets in.
	Key []byte

	port   int32
	hasTLS bool
	// files are in the folder /server of its pod.
	files map[string][]byte
	// restic is the command line of restic in its pod, up to the address, and path
	// what follows that.
	restic, path string
}

// ServersImage has the servers, restic, and a shell with the usual programs.
func ServersImage() string {
	return fromEnvironment("LULL_TEST_SERVERS_IMAGE", "lull.dev/servers:test")
}

// disk is where the server's volume is.
const disk = "/disk"

func aRepositoryServer(namespace, name string, port int32, script string) *RepositoryServer {
	return &RepositoryServer{
		Application: Application{
			Namespace: namespace, Name: name, Replicas: 1, Claims: []string{name}, Folder: disk,
			Image: ServersImage(), Command: []string{"/bin/sh", "-ec", script},
			Ready: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}, PeriodSeconds: 1},
		},
		port: port, files: map[string][]byte{},
	}
}

// RESTServer is a rest-server with TLS. Flags are its own, as --append-only.
func RESTServer(namespace, name string, flags ...string) *RepositoryServer {
	script := "exec rest-server --path=" + disk + " --htpasswd-file=/server/htpasswd --listen=:8000 --tls --tls-cert=/server/tls.crt --tls-key=/server/tls.key"
	for _, flag := range flags {
		script += " " + flag
	}
	s := aRepositoryServer(namespace, name, 8000, script)
	s.hasTLS = true
	sum := sha1.Sum([]byte("ITS-PASSWORD"))
	s.files["htpasswd"] = []byte("shop:{SHA}" + base64.StdEncoding.EncodeToString(sum[:]) + "\n")
	s.restic, s.path = "RESTIC_REST_USERNAME=shop RESTIC_REST_PASSWORD=ITS-PASSWORD restic --cacert=/server/ca.crt --repo=rest:https://", ":8000/shop"
	return s
}

// FlakyServer is a rest-server without TLS that whoever reaches it may use, behind
// what gets in the way of its clients as the file /tmp/fault in its pod says (see
// test/images/servers/flaky).
func FlakyServer(namespace, name string) *RepositoryServer {
	s := aRepositoryServer(namespace, name, 8000, "rest-server --path="+disk+" --no-auth --listen=127.0.0.1:8001 &\nexec flaky :8000 http://127.0.0.1:8001")
	s.restic = "restic --repo=" + disk + "/shop" // past what gets in the way
	return s
}

// S3Server is a versitygw with TLS.
func S3Server(namespace, name string) *RepositoryServer {
	s := aRepositoryServer(namespace, name, 443, "mkdir -p "+disk+"/backups\n"+
		"exec versitygw --port=:443 --region=eu-central-1 --cert=/server/tls.crt --key=/server/tls.key --quiet posix "+disk)
	s.hasTLS = true
	s.Env = map[string]string{"ROOT_ACCESS_KEY_ID": "THE-KEY", "ROOT_SECRET_ACCESS_KEY": "ITS-SECRET"}
	s.restic, s.path = "AWS_ACCESS_KEY_ID=THE-KEY AWS_SECRET_ACCESS_KEY=ITS-SECRET restic --cacert=/server/ca.crt --option=s3.region=eu-central-1 --repo=s3:https://", "/backups/prod/shop"
	return s
}

// SFTPServer is an OpenSSH server that serves files alone.
func SFTPServer(namespace, name string) (*RepositoryServer, error) {
	s := aRepositoryServer(namespace, name, 22, "mkdir -p /run/sshd\nchown backup /srv/backups\ninstall -m 644 /server/authorized_keys /etc/ssh/\n"+
		"exec /usr/sbin/sshd -D -e -f /dev/null -h /server/host_key -o AuthorizedKeysFile=/etc/ssh/authorized_keys -o 'Subsystem=sftp internal-sftp' -o ForceCommand=internal-sftp")
	s.Folder = "/srv/backups"
	s.restic, s.path = `restic --option=sftp.args="-i /server/key -o StrictHostKeyChecking=accept-new" --repo=sftp://backup@`, ":22//srv/backups/shop"
	var err error
	if _, s.files["host_key"], err = sshKeys(); err != nil {
		return nil, err
	}
	s.files["authorized_keys"], s.Key, err = sshKeys()
	s.files["key"] = s.Key
	return s, err
}

// StartServer starts a server, and finds its address. A claim of its name that is
// there already is its volume.
func (c *Cluster) StartServer(ctx context.Context, s *RepositoryServer) error {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": s.Name}, Ports: []corev1.ServicePort{{Port: s.port}}},
	}
	if err := c.Create(ctx, service); err != nil {
		return err
	}
	if s.Address = service.Spec.ClusterIP; s.hasTLS {
		if err := s.certify(); err != nil {
			return err
		}
	}
	if len(s.files) > 0 {
		files := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name + "-files"}, Data: s.files}
		if err := c.Create(ctx, files); err != nil {
			return err
		}
		s.Change = mountsSecret(files.Name)
	}
	return c.Start(ctx, s.Application)
}

func mountsSecret(name string) func(client.Object) {
	return func(o client.Object) {
		spec := &o.(*appsv1.Deployment).Spec.Template.Spec
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "files", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: name, DefaultMode: ptr.To[int32](0o400)},
		}})
		spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "files", MountPath: "/server"})
	}
}

// certify gives the server a certificate for its address.
func (s *RepositoryServer) certify() error {
	ip := net.ParseIP(s.Address)
	if ip == nil {
		return fmt.Errorf("the service of %s has no address: %q", s.Name, s.Address)
	}
	ca, certificate, key, err := certificateFor(ip)
	s.CA = ca
	s.files["ca.crt"], s.files["tls.crt"], s.files["tls.key"] = ca, certificate, key
	return err
}

// Restic is a line of shell for the server's pod that runs restic alone on the
// repository there, as its clients reach it unless they are got in the way of.
func (s *RepositoryServer) Restic(password, arguments string) string {
	at := ""
	if s.path != "" {
		at = s.Address + s.path
	}
	return "RESTIC_PASSWORD='" + password + "' " + s.restic + at + " --no-cache " + arguments
}
