package resticexport

import (
	"cmp"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Where the mover's pod has what restic reads and writes beside the volume.
const (
	passwordPath   = "/lull/password"
	oldPath        = "/lull/old-password"
	caPath         = "/lull/ca"
	googlePath     = "/lull/google"
	sshPath        = "/lull/ssh"
	repositoryPath = "/lull/repository"
	cachePath      = "/lull/cache"
	temporaryPath  = "/lull/tmp"
)

// Files in them.
const (
	PasswordFile = passwordPath + "/password"
	// OldPasswordFile is there for Rekey alone.
	OldPasswordFile = oldPath + "/password"
	CAFile          = caPath + "/ca.crt"
	GoogleFile      = googlePath + "/credentials.json"
	SSHKeyFile      = sshPath + "/key"
	KnownHostsFile  = sshPath + "/known_hosts"
)

// Programs in the image.
const (
	MoverPath  = "/mover"
	ResticPath = "/restic"
)

// Access is what a container needs to reach a repository and to open it.
type Access struct {
	// URL is what restic calls the place of the repository. It holds no secret.
	URL string
	// Options are restic's own for a backend, each as key=value, for its -o. None has
	// a comma, which would be two options.
	Options []string
	// Env maps each known key of the Secret of the keys, by itself. All of them are
	// optional: a key that isn't there is a variable that isn't set.
	Env []corev1.EnvVar
	// Volumes and Mounts hold what is read from files: the password, the
	// certificates, the keys of Google and of SSH, and the claim that a repository is
	// in.
	Volumes []corev1.Volume
	Mounts  []corev1.VolumeMount
}

// AccessTo is the access to the repository of a spec, which the API server has
// validated.
func AccessTo(spec *v1alpha1.ResticRepositorySpec) Access { return theOne.accessTo(spec) }

// role is what a repository is to restic, which works in one and may read another.
type role struct {
	// prefix begins the names of its volumes and the last part of their paths.
	prefix string
	// passwordVariable is the variable that names the file with its password.
	passwordVariable string
}

var (
	theOne    = role{"", EnvPasswordFile}
	theSource = role{"from-", EnvFromPasswordFile}
)

// at is where a repository of the role has what the only one has at a path.
func (r role) at(p string) string { return path.Join(path.Dir(p), r.prefix+path.Base(p)) }

func (r role) passwordFile() string { return path.Join(r.at(passwordPath), path.Base(PasswordFile)) }
func (r role) caFile() string       { return path.Join(r.at(caPath), path.Base(CAFile)) }

func (r role) accessTo(spec *v1alpha1.ResticRepositorySpec) Access {
	a := Access{URL: urlOf(&spec.Backend, r.at(repositoryPath)), Options: optionsOf(&spec.Backend)}
	password := spec.PasswordSecretRef
	a.mountSecret(r.prefix+"password", password.Name, r.at(passwordPath), false, corev1.KeyToPath{Key: cmp.Or(password.Key, "password"), Path: path.Base(PasswordFile)})
	a.Env = append(a.Env, corev1.EnvVar{Name: r.passwordVariable, Value: r.passwordFile()})
	if ref := spec.CASecretRef; ref != nil {
		a.mountSecret(r.prefix+"ca", ref.Name, r.at(caPath), false, corev1.KeyToPath{Key: ref.Key, Path: path.Base(CAFile)})
		a.Env = append(a.Env, corev1.EnvVar{Name: EnvCACert, Value: r.caFile()})
	}
	if ref := spec.CredentialsSecretRef; ref != nil {
		a.takeKeys(ref.Name, spec)
	}
	if v := spec.Backend.Volume; v != nil {
		a.mount(r.prefix+"repository", r.at(repositoryPath), false, claimed(v.ClaimName, false))
	}
	return a
}

// urlOf is the place of a repository as restic's own documentation has it
// (https://restic.readthedocs.io/en/stable/030_preparing_a_new_repo.html). One in a
// claim is below where that is mounted.
func urlOf(b *v1alpha1.RepositoryBackend, mountedAt string) string {
	switch {
	case b.S3 != nil:
		endpoint := strings.TrimSuffix(cmp.Or(b.S3.Endpoint, "https://s3.amazonaws.com"), "/")
		return "s3:" + endpoint + "/" + path.Join(string(b.S3.Bucket), string(b.S3.Prefix))
	case b.Azure != nil:
		return inContainer("azure", b.Azure.Container, b.Azure.Prefix)
	case b.GCS != nil:
		return inContainer("gs", b.GCS.Bucket, b.GCS.Prefix)
	case b.B2 != nil:
		return inContainer("b2", b.B2.Bucket, b.B2.Prefix)
	case b.Swift != nil:
		return inContainer("swift", b.Swift.Container, b.Swift.Prefix)
	case b.REST != nil:
		return "rest:" + strings.TrimSuffix(b.REST.URL, "/") + "/"
	case b.SFTP != nil:
		return sftpURL(b.SFTP)
	case b.Volume != nil:
		return "local:" + path.Join(mountedAt, string(b.Volume.Path))
	}
	return ""
}

func inContainer(scheme string, container v1alpha1.ObjectName, prefix v1alpha1.RepositoryPath) string {
	return fmt.Sprintf("%s:%s:/%s", scheme, container, prefix)
}

// sftpURL is a URL with a port and with a path whose second slash is its own
// where it begins at the root.
func sftpURL(b *v1alpha1.SFTPBackend) string {
	return fmt.Sprintf("sftp://%s@%s/%s", b.User, net.JoinHostPort(b.Host, sshPort(b)), b.Path)
}

func sshPort(b *v1alpha1.SFTPBackend) string { return strconv.Itoa(int(cmp.Or(b.Port, 22))) }

// optionsOf are restic's extended options. The image has no ssh: the mover is one,
// and knows no host but those of the file. restic splits the command at spaces,
// without a shell, and nothing in it has one.
func optionsOf(b *v1alpha1.RepositoryBackend) []string {
	switch {
	case b.S3 != nil && b.S3.Region != "":
		return []string{OptionRegion + "=" + b.S3.Region}
	case b.SFTP != nil:
		command := []string{MoverPath, SSHCommand, "--host=" + b.SFTP.Host, "--port=" + sshPort(b.SFTP), "--user=" + b.SFTP.User,
			"--key=" + SSHKeyFile, "--known-hosts=" + KnownHostsFile}
		return []string{"sftp.command=" + strings.Join(command, " ")}
	}
	return nil
}

// Options of restic for S3: the region of a bucket, and to ask without keys.
const (
	OptionRegion   = "s3.region"
	OptionUnsigned = "s3.unsafe-anonymous-auth=true"
)

// SSHCommand is the mover's argument by which it is the SSH client of restic.
const SSHCommand = "ssh"

// mountOldPassword mounts the password that the repository had, where it is to be
// exchanged and is there still.
func (a *Access) mountOldPassword(ref *v1alpha1.SecretKeyReference) {
	if ref != nil {
		a.mountSecret("old-password", ref.Name, oldPath, true, corev1.KeyToPath{Key: cmp.Or(ref.Key, "password"), Path: path.Base(OldPasswordFile)})
	}
}

func (a *Access) takeKeys(secret string, spec *v1alpha1.ResticRepositorySpec) {
	for _, key := range keysOf(spec) {
		a.Env = append(a.Env, corev1.EnvVar{Name: key, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key, Optional: ptr.To(true),
		}}})
	}
	switch b := &spec.Backend; {
	case b.GCS != nil:
		a.mountSecret("google", secret, googlePath, true, corev1.KeyToPath{Key: KeyGoogleCredentials, Path: path.Base(GoogleFile)})
	case b.SFTP != nil:
		a.mountSecret("ssh", secret, sshPath, true,
			corev1.KeyToPath{Key: KeySSHPrivateKey, Path: path.Base(SSHKeyFile)},
			corev1.KeyToPath{Key: KeySSHKnownHosts, Path: path.Base(KnownHostsFile)})
	}
}

// mountSecret mounts keys of a Secret. One that is optional may be missing: the
// mover then says which, where a kubelet would only wait.
func (a *Access) mountSecret(name, secret, at string, isOptional bool, keys ...corev1.KeyToPath) {
	source := &corev1.SecretVolumeSource{SecretName: secret, Items: keys, DefaultMode: ptr.To[int32](0o444)}
	if isOptional {
		source.Optional = ptr.To(true)
	}
	a.mount(name, at, true, corev1.VolumeSource{Secret: source})
}

func (a *Access) mount(name, at string, isReadOnly bool, source corev1.VolumeSource) {
	a.Volumes = append(a.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	a.Mounts = append(a.Mounts, corev1.VolumeMount{Name: name, MountPath: at, ReadOnly: isReadOnly})
}
