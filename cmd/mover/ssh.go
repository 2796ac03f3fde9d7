package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"time"

	cryptossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// sshTo is the server to log in at, and by what.
type sshTo struct {
	host, port, user, key, knownHosts string
}

// ssh connects restic, at the other end of in and out, with the server's sftp. It
// logs in by a key alone, and only at a host whose key is known.
func ssh(args []string, in io.Reader, out io.Writer) error {
	var to sshTo
	flags := flag.NewFlagSet(resticexport.SSHCommand, flag.ContinueOnError)
	flags.StringVar(&to.host, "host", "", "the `name` or address of the server")
	flags.StringVar(&to.port, "port", "22", "the `port` of the server")
	flags.StringVar(&to.user, "user", "", "the `user` to log in as")
	flags.StringVar(&to.key, "key", resticexport.SSHKeyFile, "the `path` of the private key")
	flags.StringVar(&to.knownHosts, "known-hosts", resticexport.KnownHostsFile, "the `path` of the keys of hosts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	client, err := to.logIn()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // all was said by then
	return sftp(client, in, out)
}

func sftp(client *cryptossh.Client, in io.Reader, out io.Writer) error {
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("ssh: %w", err)
	}
	to, err := session.StdinPipe()
	if err != nil {
		return fmt.Errorf("ssh: %w", err)
	}
	from, err := session.StdoutPipe()
	if err != nil {
		return fmt.Errorf("ssh: %w", err)
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		return fmt.Errorf("ssh: the server has no sftp: %w", err)
	}
	return connect(in, to, from, out)
}

// connect copies both ways until restic has said all and has got all answers. It
// is an error where the server ends first.
func connect(in io.Reader, to io.WriteCloser, from io.Reader, out io.Writer) error {
	said := make(chan struct{})
	go func() {
		_, _ = io.Copy(to, in) // where it fails, the server's side ends
		close(said)
		_ = to.Close()
	}()
	if _, err := io.Copy(out, from); err != nil {
		return fmt.Errorf("ssh: %w", err)
	}
	select {
	case <-said:
		return nil
	default:
		return errors.New("ssh: the server ended the connection: connection reset")
	}
}

// logInTimeout bounds the connection and the log-in.
const logInTimeout = 30 * time.Second

func (to *sshTo) logIn() (*cryptossh.Client, error) {
	signer, err := to.signer()
	if err != nil {
		return nil, err
	}
	isKnown, err := knownhosts.New(to.knownHosts)
	if err != nil {
		return nil, missing(err, resticexport.KeySSHKnownHosts)
	}
	address := net.JoinHostPort(to.host, to.port)
	client, err := cryptossh.Dial("tcp", address, &cryptossh.ClientConfig{
		User: to.user, Auth: []cryptossh.AuthMethod{cryptossh.PublicKeys(signer)}, Timeout: logInTimeout,
		HostKeyCallback: explained(isKnown), HostKeyAlgorithms: algorithms(isKnown, address),
	})
	if err != nil {
		return nil, fmt.Errorf("ssh: %w", err)
	}
	return client, nil
}

func (to *sshTo) signer() (cryptossh.Signer, error) {
	text, err := os.ReadFile(to.key)
	if err != nil {
		return nil, missing(err, resticexport.KeySSHPrivateKey)
	}
	signer, err := cryptossh.ParsePrivateKey(text)
	var locked *cryptossh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("ssh: the key has a passphrase: write one without into %s of the Secret", resticexport.KeySSHPrivateKey)
	}
	if err != nil {
		return nil, fmt.Errorf("ssh: %s of the Secret can't be read: %w", resticexport.KeySSHPrivateKey, err)
	}
	return signer, nil
}

func missing(err error, key string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ssh: the Secret of the repository's keys has no %s", key)
	}
	return fmt.Errorf("ssh: %s of the Secret can't be read: %w", key, err)
}

// explained says what a person can do about a host that isn't known.
func explained(isKnown cryptossh.HostKeyCallback) cryptossh.HostKeyCallback {
	return func(host string, remote net.Addr, key cryptossh.PublicKey) error {
		err := isKnown(host, remote, key)
		var unknown *knownhosts.KeyError
		if !errors.As(err, &unknown) {
			return err
		}
		line := knownhosts.Line([]string{knownhosts.Normalize(host)}, key)
		if len(unknown.Want) == 0 {
			return fmt.Errorf("the host key of %s isn't in %s of the Secret: compare it with the server's own and add %q", host, resticexport.KeySSHKnownHosts, line)
		}
		return fmt.Errorf("the host key of %s is another than in %s of the Secret: find out why before you replace it by %q", host, resticexport.KeySSHKnownHosts, line)
	}
}

// algorithms are those of the keys that are known of a host: it is asked for no
// other of its keys.
func algorithms(isKnown cryptossh.HostKeyCallback, address string) []string {
	var known *knownhosts.KeyError
	err := isKnown(address, &net.TCPAddr{}, noKey{})
	if !errors.As(err, &known) {
		return nil
	}
	var all []string
	for _, want := range known.Want {
		kind := want.Key.Type()
		if kind == cryptossh.KeyAlgoRSA {
			all = append(all, cryptossh.KeyAlgoRSASHA512, cryptossh.KeyAlgoRSASHA256)
		}
		all = append(all, kind)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// noKey is the key of no host.
type noKey struct{}

func (noKey) Type() string                              { return "none" }
func (noKey) Marshal() []byte                           { return []byte("none") }
func (noKey) Verify([]byte, *cryptossh.Signature) error { return errors.New("no key") }
