// SPDX-License-Identifier: Apache-2.0
/*
 * Receive datagrams one after the other and count them: what is counted beside the kernel's work
 * is then this loop and not an interpreter's.
 *
 *   receiver ADDRESS PORT READY
 *
 * READY is a named pipe, opened for writing once the socket is bound. SIGTERM ends it; then it
 * prints a JSON object: {"packets": 272, "bytes": 272000}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

static void end(int number)
{
	(void)number;
	ended = 1;
}

static int fail(const char *what)
{
	fprintf(stderr, "receiver: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct sigaction on_end = { .sa_handler = end };
	struct sockaddr_in address = { .sin_family = AF_INET };
	unsigned long packets = 0, bytes = 0;
	static char buffer[65536];
	int link, ready;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
		fprintf(stderr, "usage: receiver ADDRESS PORT READY\n");
		return 2;
	}
	address.sin_port = htons((unsigned short)atoi(argv[2]));
	sigaction(SIGTERM, &on_end, NULL);
	link = socket(AF_INET, SOCK_DGRAM, 0);
	if (link < 0 ||
	    bind(link, (struct sockaddr *)&address, sizeof(address)))
		return fail("bind");
	ready = open(argv[3], O_WRONLY);
	if (ready < 0)
		return fail(argv[3]);
	close(ready);
	while (!ended) {
		ssize_t size = recv(link, buffer, sizeof(buffer), 0);

		if (size < 0 && errno != EINTR)
			return fail("recv");
		if (size < 0)
			continue;
		packets++;
		bytes += (unsigned long)size;
	}
	printf("{\"packets\": %lu, \"bytes\": %lu}\n", packets, bytes);
	return 0;
}
