package resticexport

import (
	"slices"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// The keys of a repository's Secret, each named as restic's variable. No other is
// read: one that names a program, a file or a library would give whoever writes
// the Secret more than the repository.
var (
	s3Keys = []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"RESTIC_AWS_ASSUME_ROLE_ARN", "RESTIC_AWS_ASSUME_ROLE_SESSION_NAME", "RESTIC_AWS_ASSUME_ROLE_EXTERNAL_ID",
		"RESTIC_AWS_ASSUME_ROLE_POLICY", "RESTIC_AWS_ASSUME_ROLE_REGION", "RESTIC_AWS_ASSUME_ROLE_STS_ENDPOINT",
	}
	azureKeys = []string{"AZURE_ACCOUNT_NAME", "AZURE_ACCOUNT_KEY", "AZURE_ACCOUNT_SAS", "AZURE_ENDPOINT_SUFFIX"}
	gcsKeys   = []string{"GOOGLE_PROJECT_ID"}
	b2Keys    = []string{"B2_ACCOUNT_ID", "B2_ACCOUNT_KEY"}
	swiftKeys = []string{
		"OS_AUTH_URL", "OS_REGION_NAME", "OS_USERNAME", "OS_USER_ID", "OS_PASSWORD", "OS_USER_DOMAIN_NAME", "OS_USER_DOMAIN_ID",
		"OS_PROJECT_NAME", "OS_PROJECT_DOMAIN_NAME", "OS_PROJECT_DOMAIN_ID", "OS_TENANT_ID", "OS_TENANT_NAME", "OS_TRUST_ID",
		"OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_NAME", "OS_APPLICATION_CREDENTIAL_SECRET",
		"OS_STORAGE_URL", "OS_AUTH_TOKEN",
	}
	restKeys = []string{"RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD"}
)

// Identity is read from the Secret only where the pod has no account of its own.
// A cloud writes these variables into the pods of an account itself, but never
// over one that is there already.
var (
	s3Identity    = []string{"AWS_ROLE_ARN"}
	azureIdentity = []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID"}
)

// Keys that are files.
const (
	KeyGoogleCredentials = "GOOGLE_APPLICATION_CREDENTIALS"
	KeySSHPrivateKey     = "ssh-privatekey"
	KeySSHKnownHosts     = "known_hosts"
)

// podKeys are variables that a cloud, or a cluster, writes into pods and that
// restic heeds. They are never read from a Secret.
var podKeys = []string{
	"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME", "AWS_REGION", EnvRegion, "AWS_STS_REGIONAL_ENDPOINTS",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	"AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}

// EnvRegion is the variable that restic takes the region of a bucket from where it
// has no option for it.
const EnvRegion = "AWS_DEFAULT_REGION"

// Variables that the Job itself sets.
const (
	EnvRepository   = "RESTIC_REPOSITORY"
	EnvPasswordFile = "RESTIC_PASSWORD_FILE"
	// EnvFromRepository and EnvFromPasswordFile are those of a second repository,
	// which is copied from.
	EnvFromRepository   = "RESTIC_FROM_REPOSITORY"
	EnvFromPasswordFile = "RESTIC_FROM_PASSWORD_FILE"
	EnvCacheDir         = "RESTIC_CACHE_DIR"
	EnvCACert           = "RESTIC_CACERT"
	EnvTemporary        = "TMPDIR"
	EnvHome             = "HOME"
	EnvMemoryLimit      = "GOMEMLIMIT"
	EnvProcessors       = "GOMAXPROCS"
)

// KnownVariables are the names of all variables that restic may be given, sorted.
// A mover passes on these, and no other of its own.
func KnownVariables() []string {
	all := slices.Concat(s3Keys, azureKeys, gcsKeys, b2Keys, swiftKeys, restKeys, s3Identity, azureIdentity, podKeys, []string{
		KeyGoogleCredentials,
		EnvRepository, EnvPasswordFile, EnvFromRepository, EnvFromPasswordFile, EnvCacheDir, EnvCACert, EnvTemporary, EnvHome, EnvMemoryLimit, EnvProcessors,
	})
	slices.Sort(all)
	return all
}

// keysOf are the keys that a backend is opened by.
func keysOf(spec *v1alpha1.ResticRepositorySpec) []string {
	keys, identity := backendKeys(&spec.Backend)
	if spec.Mover.ServiceAccountName == "" {
		keys = slices.Concat(keys, identity)
	}
	return keys
}

func backendKeys(b *v1alpha1.RepositoryBackend) (keys, identity []string) {
	switch {
	case b.S3 != nil:
		return s3Keys, s3Identity
	case b.Azure != nil:
		return azureKeys, azureIdentity
	case b.GCS != nil:
		return gcsKeys, nil
	case b.B2 != nil:
		return b2Keys, nil
	case b.Swift != nil:
		return swiftKeys, nil
	case b.REST != nil:
		return restKeys, nil
	}
	return nil, nil
}
