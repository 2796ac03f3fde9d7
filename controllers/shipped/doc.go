// Package shipped looks whether the bounds that the operator relies on are in the
// cluster as they were shipped with it: the admission policies, their bindings, and
// the schemas of the CRDs. It reads, and tells: by a condition of the operator's
// Deployment, an event there, a metric and the log. It mends nothing, since whoever
// could do that could also take the bounds away, and it stops nothing, since backups
// are worth more than a metric.
package shipped
