// Package servertime tells the time by the API server's clock, as far as its
// answers say it. Statuses and the API's own objects carry times of several
// machines: of the manager that wrote them, and of the API server. Managers that
// take over from each other agree on the time only where both go by the same clock.
//
// What a time decides is a kind's own.
package servertime
