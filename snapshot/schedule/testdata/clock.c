/*
 * A clock for Debian's cron that moves only while cron sleeps: days pass in a
 * second, and always in the same way. It is preloaded, and ends cron at UNTIL.
 *
 * To LOG it writes lines of a time and what happened then: the start of a job, by
 * the name of its user, or what cron says. A job's process isn't made, since that
 * takes longer than all the rest: cron goes on as that process until it would
 * open a session for the user, and then as the one that made it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* How long cron pauses between the minutes that it makes up for. In a crontab
 * with many jobs these add up, and it starts those of one minute in another; the
 * clock stands still for them, so that each job is as it were in a crontab of
 * its own. */
#define PAUSE 10

static time_t now;

time_t time(time_t *result)
{
	if (now == 0)
		now = atoll(getenv("FROM"));
	if (result != NULL)
		*result = now;
	return now;
}

unsigned int sleep(unsigned int seconds)
{
	if (seconds != PAUSE)
		now += seconds;
	if (now > atoll(getenv("UNTIL")))
		_exit(0);
	return 0;
}

static void record(const char *format, va_list values)
{
	char line[1024];
	int log = open(getenv("LOG"), O_WRONLY | O_APPEND | O_CREAT, 0600);
	int length = snprintf(line, sizeof line, "%lld ", (long long)time(NULL));

	length += vsnprintf(line + length, sizeof line - length - 1, format, values);
	if (length > (int)sizeof line - 2)
		length = sizeof line - 2;
	line[length] = '\n';
	if (write(log, line, length + 1) != length + 1)
		_exit(1);
	close(log);
}

static void say(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	record(format, values);
	va_end(values);
}

/* What cron logs. */
void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	record(format, values);
	va_end(values);
}

static jmp_buf parent;
/* Called by way of a variable, it is left by a jump, so that what is saved is
 * where fork was called. */
static int (*volatile save)(jmp_buf) = _setjmp;

pid_t fork(void)
{
	return save(parent); /* 0 at first, as in a child */
}

int pam_start(const char *service, const char *user, const void *talk, void **handle)
{
	const int any_pid = 4711;

	say("start %s", user);
	close_range(3, ~0U, 0); /* what the child has opened */
	longjmp(parent, any_pid);
}
