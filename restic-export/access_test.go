package resticexport

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// As in https://restic.readthedocs.io/en/stable/030_preparing_a_new_repo.html.
func TestURLsAreThoseOfResticsDocumentation(t *testing.T) {
	for _, c := range []struct {
		backend v1alpha1.RepositoryBackend
		url     string
		options []string
	}{
		{v1alpha1.RepositoryBackend{S3: &v1alpha1.S3Backend{Bucket: "b"}}, "s3:https://s3.amazonaws.com/b", nil},
		{
			v1alpha1.RepositoryBackend{S3: &v1alpha1.S3Backend{Endpoint: "http://minio.storage:9000/", Bucket: "b", Prefix: "prod/web", Region: "eu-1"}},
			"s3:http://minio.storage:9000/b/prod/web",
			[]string{"s3.region=eu-1"},
		},
		{v1alpha1.RepositoryBackend{Azure: &v1alpha1.ContainerBackend{Container: "c"}}, "azure:c:/", nil},
		{v1alpha1.RepositoryBackend{Azure: &v1alpha1.ContainerBackend{Container: "c", Prefix: "p/q"}}, "azure:c:/p/q", nil},
		{v1alpha1.RepositoryBackend{GCS: &v1alpha1.BucketBackend{Bucket: "b", Prefix: "p"}}, "gs:b:/p", nil},
		{v1alpha1.RepositoryBackend{B2: &v1alpha1.BucketBackend{Bucket: "bucket", Prefix: "p"}}, "b2:bucket:/p", nil},
		{v1alpha1.RepositoryBackend{Swift: &v1alpha1.ContainerBackend{Container: "c"}}, "swift:c:/", nil},
		{v1alpha1.RepositoryBackend{REST: &v1alpha1.RESTBackend{URL: "https://backup.example.com:8000/shop"}}, "rest:https://backup.example.com:8000/shop/", nil},
		{
			v1alpha1.RepositoryBackend{SFTP: &v1alpha1.SFTPBackend{Host: "nas", User: "me", Path: "shop"}},
			"sftp://me@nas:22/shop",
			[]string{"sftp.command=/mover ssh --host=nas --port=22 --user=me --key=/lull/ssh/key --known-hosts=/lull/ssh/known_hosts"},
		},
		{
			v1alpha1.RepositoryBackend{SFTP: &v1alpha1.SFTPBackend{Host: "fd00::1", Port: 2222, User: "me", Path: "/srv/shop"}},
			"sftp://me@[fd00::1]:2222//srv/shop",
			[]string{"sftp.command=/mover ssh --host=fd00::1 --port=2222 --user=me --key=/lull/ssh/key --known-hosts=/lull/ssh/known_hosts"},
		},
		{v1alpha1.RepositoryBackend{Volume: &v1alpha1.VolumeBackend{ClaimName: "disk"}}, "local:/lull/repository", nil},
		{v1alpha1.RepositoryBackend{Volume: &v1alpha1.VolumeBackend{ClaimName: "disk", Path: "a/b"}}, "local:/lull/repository/a/b", nil},
	} {
		access := AccessTo(&v1alpha1.ResticRepositorySpec{Backend: c.backend})
		if access.URL != c.url || !slices.Equal(access.Options, c.options) {
			t.Errorf("%s %q, not %s %q", access.URL, access.Options, c.url, c.options)
		}
		for _, option := range access.Options {
			if strings.Contains(option, ",") {
				t.Errorf("%s would be two options", option)
			}
		}
	}
}

func aSpec(backend v1alpha1.RepositoryBackend) *v1alpha1.ResticRepositorySpec {
	return &v1alpha1.ResticRepositorySpec{
		Backend:              backend,
		CredentialsSecretRef: &v1alpha1.SecretReference{Name: "keys"},
		PasswordSecretRef:    v1alpha1.SecretKeyReference{Name: "password", Key: "pass"},
	}
}

func TestAccessTakesKnownKeysAlone(t *testing.T) {
	for name, c := range map[string]struct {
		backend v1alpha1.RepositoryBackend
		some    []string
		files   []string
	}{
		"s3":    {v1alpha1.RepositoryBackend{S3: &v1alpha1.S3Backend{}}, []string{"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "RESTIC_AWS_ASSUME_ROLE_ARN", "AWS_ROLE_ARN"}, nil},
		"azure": {v1alpha1.RepositoryBackend{Azure: &v1alpha1.ContainerBackend{}}, []string{"AZURE_ACCOUNT_NAME", "AZURE_ACCOUNT_SAS", "AZURE_CLIENT_ID"}, nil},
		"gcs":   {v1alpha1.RepositoryBackend{GCS: &v1alpha1.BucketBackend{}}, []string{"GOOGLE_PROJECT_ID"}, []string{"GOOGLE_APPLICATION_CREDENTIALS"}},
		"b2":    {v1alpha1.RepositoryBackend{B2: &v1alpha1.BucketBackend{}}, []string{"B2_ACCOUNT_ID", "B2_ACCOUNT_KEY"}, nil},
		"swift": {v1alpha1.RepositoryBackend{Swift: &v1alpha1.ContainerBackend{}}, []string{"OS_AUTH_URL", "OS_APPLICATION_CREDENTIAL_SECRET"}, nil},
		"rest":  {v1alpha1.RepositoryBackend{REST: &v1alpha1.RESTBackend{}}, []string{"RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD"}, nil},
		"sftp":  {v1alpha1.RepositoryBackend{SFTP: &v1alpha1.SFTPBackend{}}, nil, []string{"ssh-privatekey", "known_hosts"}},
	} {
		access := AccessTo(aSpec(c.backend))
		var keys, files []string
		for _, e := range access.Env {
			if e.ValueFrom == nil {
				continue
			}
			ref := e.ValueFrom.SecretKeyRef
			if ref == nil || ref.Name != "keys" || ref.Key != e.Name || ref.Optional == nil || !*ref.Optional {
				t.Errorf("%s: %+v isn't one optional key of the Secret", name, e)
			}
			keys = append(keys, e.Name)
		}
		for _, v := range access.Volumes {
			if v.Secret == nil || v.Secret.SecretName != "keys" {
				continue
			}
			for _, item := range v.Secret.Items {
				files = append(files, item.Key)
			}
		}
		for _, key := range c.some {
			if !slices.Contains(keys, key) {
				t.Errorf("%s: %s is missing in %q", name, key, keys)
			}
		}
		if !slices.Equal(files, c.files) {
			t.Errorf("%s: files %q, not %q", name, files, c.files)
		}
		for _, key := range keys {
			if !slices.Contains(KnownVariables(), key) {
				t.Errorf("%s: %s isn't passed on to restic", name, key)
			}
		}
	}
}

// These name programs, files or libraries.
func TestDangerousVariablesAreNotKnown(t *testing.T) {
	for _, name := range []string{
		"RESTIC_PASSWORD_COMMAND", "RESTIC_FROM_PASSWORD_COMMAND", "RESTIC_REPOSITORY_FILE", "RESTIC_PASSWORD", "RESTIC_FEATURES", "RESTIC_TLS_CLIENT_CERT",
		"LD_PRELOAD", "PATH", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "SSL_CERT_FILE", "GODEBUG", "RCLONE_CONFIG",
	} {
		if slices.Contains(KnownVariables(), name) {
			t.Errorf("%s is known", name)
		}
	}
	for _, file := range []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE"} {
		if !slices.Contains(KnownVariables(), file) || slices.Contains(keysOf(aSpec(v1alpha1.RepositoryBackend{S3: &v1alpha1.S3Backend{}})), file) {
			t.Errorf("%s is of the pod alone", file)
		}
	}
}

// A cloud doesn't write over a variable that is there.
func TestAnAccountsIdentityIsLeftToTheCloud(t *testing.T) {
	for _, backend := range []v1alpha1.RepositoryBackend{{S3: &v1alpha1.S3Backend{}}, {Azure: &v1alpha1.ContainerBackend{}}} {
		spec := aSpec(backend)
		spec.Mover.ServiceAccountName = "exporter"
		for _, name := range []string{"AWS_ROLE_ARN", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"} {
			if slices.Contains(keysOf(spec), name) {
				t.Errorf("%s is set", name)
			}
		}
	}
}

func TestSecretsComeAsFiles(t *testing.T) {
	spec := aSpec(v1alpha1.RepositoryBackend{Volume: &v1alpha1.VolumeBackend{ClaimName: "disk"}})
	spec.CASecretRef = &v1alpha1.SecretKeyReference{Name: "ca", Key: "tls.crt"}
	access := AccessTo(spec)
	want := map[string]string{"password": "/lull/password", "ca": "/lull/ca", "repository": "/lull/repository"}
	for _, m := range access.Mounts {
		if want[m.Name] != m.MountPath || m.ReadOnly != (m.Name != "repository") {
			t.Errorf("%+v", m)
		}
	}
	for _, e := range []corev1.EnvVar{{Name: "RESTIC_PASSWORD_FILE", Value: "/lull/password/password"}, {Name: "RESTIC_CACERT", Value: "/lull/ca/ca.crt"}} {
		if !slices.Contains(access.Env, e) {
			t.Errorf("%+v is missing in %+v", e, access.Env)
		}
	}
	if len(access.Mounts) != len(want) || len(access.Volumes) != len(want) || len(access.Env) != 2 {
		t.Errorf("%+v", access)
	}
	if items := access.Volumes[0].Secret.Items; len(items) != 1 || items[0].Key != "pass" {
		t.Errorf("%+v", items)
	}
}
