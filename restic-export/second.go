package resticexport

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// restic works in one repository and reads another where it copies. It has a place
// and a password for each of them, and one set of all else: of the keys, of the
// extended options, and of the certificates that it trusts.

// SystemCAFile has the certificates that everybody trusts, in the image.
const SystemCAFile = "/etc/ssl/certs/ca-certificates.crt"

// AccessToBoth is the access to a repository and to the one that is copied into it.
// It is of use where Conflict has nothing against it.
func AccessToBoth(into, from *v1alpha1.ResticRepositorySpec) Access {
	account := accountOf(into, from)
	a, b := theOne.accessTo(under(account, into)), theSource.accessTo(under(account, from))
	a.Env = append(a.Env, corev1.EnvVar{Name: EnvFromRepository, Value: b.URL})
	for _, e := range b.Env {
		if !slices.ContainsFunc(a.Env, func(has corev1.EnvVar) bool { return has.Name == e.Name }) {
			a.Env = append(a.Env, e)
		}
	}
	if trusted := trustedOf(into, from); trusted != "" {
		i := slices.IndexFunc(a.Env, func(e corev1.EnvVar) bool { return e.Name == EnvCACert })
		a.Env[i].Value = trusted
	}
	for _, option := range b.Options {
		if !slices.Contains(a.Options, option) {
			a.Options = append(a.Options, option)
		}
	}
	a.takeMounts(b)
	return a
}

// accountOf is the account of a pod that works with both.
func accountOf(into, from *v1alpha1.ResticRepositorySpec) string {
	return cmp.Or(into.Mover.ServiceAccountName, from.Mover.ServiceAccountName)
}

// under is a spec whose movers have an account.
func under(account string, spec *v1alpha1.ResticRepositorySpec) *v1alpha1.ResticRepositorySpec {
	as := *spec
	as.Mover.ServiceAccountName = account
	return &as
}

// takeMounts mounts what the other access does. Volumes of one name are of the same
// Secret; a claim that both repositories are in is one volume of the pod.
func (a *Access) takeMounts(other Access) {
	for i, v := range other.Volumes {
		mount := other.Mounts[i]
		same := slices.IndexFunc(a.Volumes, func(has corev1.Volume) bool {
			return has.Name == v.Name || v.PersistentVolumeClaim != nil && has.PersistentVolumeClaim != nil && *has.PersistentVolumeClaim == *v.PersistentVolumeClaim
		})
		if same < 0 {
			a.Volumes = append(a.Volumes, v)
		} else {
			mount.Name = a.Volumes[same].Name
		}
		if !slices.ContainsFunc(a.Mounts, func(has corev1.VolumeMount) bool { return has.MountPath == mount.MountPath }) {
			a.Mounts = append(a.Mounts, mount)
		}
	}
}

// trustedOf are the files of the certificates that both repositories are reached by,
// as restic takes them, empty where it needs none. Where it is given any it trusts
// no other, so that a repository without certificates of its own needs those that
// everybody trusts.
func trustedOf(into, from *v1alpha1.ResticRepositorySpec) string {
	var files []string
	needsSystems := false
	take := func(r role, spec *v1alpha1.ResticRepositorySpec) {
		if spec.CASecretRef != nil {
			files = append(files, r.caFile())
		} else if b := &spec.Backend; b.Volume == nil && b.SFTP == nil {
			needsSystems = true
		}
	}
	take(theOne, into)
	take(theSource, from)
	if len(files) > 0 && needsSystems {
		files = append(files, SystemCAFile)
	}
	return strings.Join(files, ",")
}

// Conflict says why restic can't copy from one repository into another at all, and
// what can be done, empty where it can.
func Conflict(into, from *v1alpha1.ResticRepository) string {
	for _, objects := range []func(into, from *v1alpha1.ResticRepositorySpec) string{samePlace, otherServer, otherRegion, otherKeys, otherAccount} {
		if why := objects(&into.Spec, &from.Spec); why != "" {
			return why
		}
	}
	if id := into.Status.RepositoryID; id != "" && id == from.Status.RepositoryID {
		return fmt.Sprintf("both are repository %.8s: a copy of its files is the same repository to restic. Name one at an empty place", id)
	}
	return ""
}

func samePlace(into, from *v1alpha1.ResticRepositorySpec) string {
	claim := func(s *v1alpha1.ResticRepositorySpec) string {
		return ptr.Deref(s.Backend.Volume, v1alpha1.VolumeBackend{}).ClaimName
	}
	if urlOf(&into.Backend, "") == urlOf(&from.Backend, "") && claim(into) == claim(from) {
		return "both are at the same place: name one that is somewhere else"
	}
	return ""
}

func otherServer(into, from *v1alpha1.ResticRepositorySpec) string {
	if into.Backend.SFTP != nil && from.Backend.SFTP != nil && !slices.Equal(optionsOf(&into.Backend), optionsOf(&from.Backend)) {
		return "both are reached by SFTP, and restic knows one SSH server at a time: only two folders of the same host, port and user work, or another backend for one of them"
	}
	return ""
}

func otherRegion(into, from *v1alpha1.ResticRepositorySpec) string {
	a, b := into.Backend.S3, from.Backend.S3
	if a != nil && b != nil && a.Region != b.Region {
		return fmt.Sprintf("both are in S3, in region %q and in region %q, and restic knows one region at a time: create both without spec.backend.s3.region where their servers tell it, as AWS does, or take another backend for one of them", b.Region, a.Region)
	}
	return ""
}

// otherKeys objects to two sets of the same variables. A repository without a Secret
// counts as one with another: restic would give it the keys of the other.
func otherKeys(into, from *v1alpha1.ResticRepositorySpec) string {
	secret := func(s *v1alpha1.ResticRepositorySpec) string {
		return ptr.Deref(s.CredentialsSecretRef, v1alpha1.SecretReference{}).Name
	}
	kind := kindOf(&into.Backend)
	if kind == kindOf(&from.Backend) && into.Backend.Volume == nil && secret(into) != secret(from) {
		return fmt.Sprintf("both are of the backend %s, and restic has one set of its keys at a time: name one Secret in spec.credentialsSecretRef of both, with keys that may use both, or take another backend for one of them", kind)
	}
	return ""
}

func kindOf(b *v1alpha1.RepositoryBackend) string {
	kind, _, _ := strings.Cut(urlOf(b, ""), ":")
	return kind
}

func otherAccount(into, from *v1alpha1.ResticRepositorySpec) string {
	a, b := into.Mover.ServiceAccountName, from.Mover.ServiceAccountName
	if a != "" && b != "" && a != b {
		return fmt.Sprintf("their movers have the accounts %s and %s, and a pod has one: name one in spec.mover.serviceAccountName of both, which may use both", b, a)
	}
	return ""
}
