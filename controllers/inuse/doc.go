// Package inuse finds out whether volumes are in use by pods that the API doesn't
// show. A pod that was deleted by force, or has no grace period, leaves the API at
// once, and its processes may write on. What tells of it, in the order in which
// it is asked (snapshot/cut/letgo.go says what each bears out):
//
//	attachments      of drivers that attach their volumes, and status.volumesInUse
//	the nodes' word  what each of them runs, where they may be asked
//	departures       which pods were seen to leave before they had ended
//
// It answers with a doubt, or with what is to be waited for. What becomes of a
// backup by that is controllers/backup's.
package inuse
