package resticexport

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func specs(into, from v1alpha1.RepositoryBackend) (a, b *v1alpha1.ResticRepository) {
	a, b = &v1alpha1.ResticRepository{}, &v1alpha1.ResticRepository{}
	a.Name, b.Name = "second", "first"
	a.Spec, b.Spec = *aSpec(into), *aSpec(from)
	return a, b
}

func TestWhatResticCannotCopy(t *testing.T) {
	s3 := func(bucket v1alpha1.ObjectName, region string) v1alpha1.RepositoryBackend {
		return v1alpha1.RepositoryBackend{S3: &v1alpha1.S3Backend{Bucket: bucket, Region: region}}
	}
	sftp := func(host, path string) v1alpha1.RepositoryBackend {
		return v1alpha1.RepositoryBackend{SFTP: &v1alpha1.SFTPBackend{Host: host, User: "me", Path: path}}
	}
	disk := func(claim string) v1alpha1.RepositoryBackend {
		return v1alpha1.RepositoryBackend{Volume: &v1alpha1.VolumeBackend{ClaimName: claim, Path: "restic"}}
	}
	gcs := v1alpha1.RepositoryBackend{GCS: &v1alpha1.BucketBackend{Bucket: "b"}}
	otherKeys := func(into, _ *v1alpha1.ResticRepository) { into.Spec.CredentialsSecretRef.Name = "other" }
	for name, c := range map[string]struct {
		into, from v1alpha1.RepositoryBackend
		change     func(into, from *v1alpha1.ResticRepository)
		says       string // empty where it can
	}{
		"two buckets by the same keys":  {into: s3("b", "eu-1"), from: s3("a", "eu-1")},
		"two buckets, each by its keys": {into: s3("b", ""), from: s3("a", ""), change: otherKeys, says: "name one Secret in spec.credentialsSecretRef of both"},
		"one of them by none":           {into: s3("b", ""), from: s3("a", ""), change: func(into, _ *v1alpha1.ResticRepository) { into.Spec.CredentialsSecretRef = nil }, says: "name one Secret"},
		"both by none": {into: s3("b", ""), from: s3("a", ""), change: func(into, from *v1alpha1.ResticRepository) {
			into.Spec.CredentialsSecretRef, from.Spec.CredentialsSecretRef = nil, nil
		}},
		"two regions":                         {into: s3("b", "eu-1"), from: s3("a", "us-1"), says: `in region "us-1" and in region "eu-1"`},
		"a region and none":                   {into: s3("b", "eu-1"), from: s3("a", ""), says: "spec.backend.s3.region"},
		"a bucket and another's, by its keys": {into: gcs, from: s3("a", "eu-1"), change: otherKeys},
		"a bucket and a claim":                {into: disk("disk"), from: s3("a", "eu-1"), change: otherKeys},
		"two claims":                          {into: disk("b"), from: disk("a"), change: otherKeys},
		"two folders of a claim":              {into: disk("a"), from: v1alpha1.RepositoryBackend{Volume: &v1alpha1.VolumeBackend{ClaimName: "a", Path: "other"}}},
		"the same folder":                     {into: disk("a"), from: disk("a"), says: "both are at the same place"},
		"the same bucket":                     {into: s3("a", ""), from: s3("a", ""), says: "both are at the same place"},
		"two folders of a host":               {into: sftp("nas", "b"), from: sftp("nas", "a")},
		"two folders of a host, by two keys":  {into: sftp("nas", "b"), from: sftp("nas", "a"), change: otherKeys, says: "both are of the backend sftp"},
		"two hosts":                           {into: sftp("nas", "a"), from: sftp("san", "a"), says: "one SSH server at a time"},
		"two accounts": {into: gcs, from: s3("a", ""), change: func(into, from *v1alpha1.ResticRepository) {
			into.Spec.Mover.ServiceAccountName, from.Spec.Mover.ServiceAccountName = "b", "a"
		}, says: "the accounts a and b"},
		"one account": {into: gcs, from: s3("a", ""), change: func(into, _ *v1alpha1.ResticRepository) { into.Spec.Mover.ServiceAccountName = "b" }},
		"the same repository": {into: gcs, from: s3("a", ""), change: func(into, from *v1alpha1.ResticRepository) {
			into.Status.RepositoryID, from.Status.RepositoryID = "aaaaaaaa", "aaaaaaaa"
		}, says: "both are repository aaaaaaaa"},
	} {
		t.Run(name, func(t *testing.T) {
			into, from := specs(c.into, c.from)
			if c.change != nil {
				c.change(into, from)
			}
			why := Conflict(into, from)
			if (why == "") != (c.says == "") || !strings.Contains(why, c.says) {
				t.Errorf("it says %q, not %q", why, c.says)
			}
		})
	}
}

func variables(env []corev1.EnvVar) map[string]string {
	all := map[string]string{}
	for _, e := range env {
		all[e.Name] = e.Value
		if e.ValueFrom != nil {
			all[e.Name] = "of " + e.ValueFrom.SecretKeyRef.Name
		}
	}
	return all
}

func TestAccessToTwoRepositories(t *testing.T) {
	into, from := specs(v1alpha1.RepositoryBackend{Volume: &v1alpha1.VolumeBackend{ClaimName: "disk", Path: "copy"}}, v1alpha1.RepositoryBackend{S3: &v1alpha1.S3Backend{Bucket: "b", Region: "eu-1"}})
	from.Spec.PasswordSecretRef = v1alpha1.SecretKeyReference{Name: "other", Key: "key"}
	from.Spec.CASecretRef = &v1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}
	access := AccessToBoth(&into.Spec, &from.Spec)
	env := variables(access.Env)
	for name, want := range map[string]string{
		"RESTIC_PASSWORD_FILE": "/lull/password/password", "RESTIC_FROM_PASSWORD_FILE": "/lull/from-password/password",
		"RESTIC_FROM_REPOSITORY": "s3:https://s3.amazonaws.com/b", "RESTIC_CACERT": "/lull/from-ca/ca.crt", "AWS_ACCESS_KEY_ID": "of keys",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, not %q", name, env[name], want)
		}
	}
	if len(env) != len(access.Env) {
		t.Errorf("a variable stands there twice: %+v", access.Env)
	}
	if access.URL != "local:/lull/repository/copy" || !slices.Equal(access.Options, []string{"s3.region=eu-1"}) {
		t.Errorf("%s %q", access.URL, access.Options)
	}
	secrets := map[string]string{}
	for i, v := range access.Volumes {
		if v.Secret != nil {
			secrets[access.Mounts[i].MountPath] = v.Secret.SecretName
		}
	}
	if secrets["/lull/password"] != "password" || secrets["/lull/from-password"] != "other" || secrets["/lull/from-ca"] != "ca" {
		t.Errorf("%v", secrets)
	}
}

func TestTwoFoldersOfAClaimAreOneVolume(t *testing.T) {
	disk := func(path v1alpha1.RepositoryPath) v1alpha1.RepositoryBackend {
		return v1alpha1.RepositoryBackend{Volume: &v1alpha1.VolumeBackend{ClaimName: "disk", Path: path}}
	}
	into, from := specs(disk("b"), disk("a"))
	access := AccessToBoth(&into.Spec, &from.Spec)
	var mounts []string
	for _, m := range access.Mounts {
		mounts = append(mounts, m.Name+" "+m.MountPath)
	}
	if want := []string{"password /lull/password", "repository /lull/repository", "from-password /lull/from-password", "repository /lull/from-repository"}; !slices.Equal(mounts, want) {
		t.Errorf("%q", mounts)
	}
	from.Spec.Backend.Volume.ClaimName = "other"
	if access := AccessToBoth(&into.Spec, &from.Spec); len(access.Volumes) != 4 || variables(access.Env)[EnvFromRepository] != "local:/lull/from-repository/a" {
		t.Errorf("%+v", access)
	}
}

func TestTheCertificatesOfBothAreTrusted(t *testing.T) {
	rest := v1alpha1.RepositoryBackend{REST: &v1alpha1.RESTBackend{URL: "https://a"}}
	gcs := v1alpha1.RepositoryBackend{GCS: &v1alpha1.BucketBackend{}}
	sftp := v1alpha1.RepositoryBackend{SFTP: &v1alpha1.SFTPBackend{}}
	own := &v1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}
	for want, c := range map[string]struct {
		into, from     v1alpha1.RepositoryBackend
		intoCA, fromCA *v1alpha1.SecretKeyReference
	}{
		"":                                     {into: rest, from: gcs},
		"/lull/ca/ca.crt,/lull/from-ca/ca.crt": {into: rest, from: gcs, intoCA: own, fromCA: own},
		"/lull/ca/ca.crt," + SystemCAFile:      {into: rest, from: gcs, intoCA: own},
		"/lull/from-ca/ca.crt," + SystemCAFile: {into: gcs, from: rest, fromCA: own},
		"/lull/ca/ca.crt":                      {into: rest, from: sftp, intoCA: own},
	} {
		into, from := specs(c.into, c.from)
		into.Spec.CASecretRef, from.Spec.CASecretRef = c.intoCA, c.fromCA
		if got := variables(AccessToBoth(&into.Spec, &from.Spec).Env)[EnvCACert]; got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestAMoverOfTwoRepositories(t *testing.T) {
	into, from := specs(v1alpha1.RepositoryBackend{GCS: &v1alpha1.BucketBackend{Bucket: "b"}}, v1alpha1.RepositoryBackend{Volume: &v1alpha1.VolumeBackend{ClaimName: "disk"}})
	from.Spec.Mover.ServiceAccountName = "exporter"
	into.Spec.Mover.NodeSelector, from.Spec.Mover.NodeSelector = map[string]string{"of": "second"}, map[string]string{"of": "first"}
	job := Job(CopySnapshotsJob(from, into, &v1alpha1.CopyStatus{Name: "second"}))
	pod := job.Spec.Template.Spec
	if job.Labels[v1alpha1.LabelRepository] != "second" || job.Labels[v1alpha1.LabelFromRepository] != "first" {
		t.Errorf("%v", job.Labels)
	}
	if pod.ServiceAccountName != "exporter" || pod.NodeSelector["of"] != "second" || pod.SecurityContext.FSGroup == nil || *pod.SecurityContext.FSGroup != moverID {
		t.Errorf("%+v", pod)
	}
	if c := pod.Containers[0]; !slices.Equal(c.Args, []string{"--", `{"copySnapshots":{}}`}) || variable(&c, EnvRepository) != "gs:b:/" {
		t.Errorf("%q %+v", c.Args, c.Env)
	}
}
