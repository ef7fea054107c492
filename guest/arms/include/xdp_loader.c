// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Attach an arm's XDP program to an interface, prove it is there, read its
 * counter, detach it.
 *
 * Between two calls the program and its counter are pinned in
 * /sys/fs/bpf/testbed/<arm>-<interface>/. The pin is also how we know a
 * program of ours from anybody else's: a foreign program is never detached and
 * never replaced. Results go to stdout as JSON, all talk to stderr.
 *
 * "verify" proves the mode, and the rule: the addresses and ports that the
 * program was loaded with are constants in a map of its own, which the kernel
 * gives back. Those among its options must be the same.
 *
 * Exit status: 0 done; 1 not as claimed, or the kernel refused; 2 usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "redirect.skel.h"

#define BPFFS "/sys/fs/bpf"
#define PIN_ROOT BPFFS "/testbed"
#define PIN_BYTES 128
#define MOST_MAPS 64 /* that a program can have: MAX_USED_MAPS of the kernel */

/* A call for each kind of object came with libbpf 1.2; Debian 12 has 1.1. */
#if LIBBPF_MAJOR_VERSION < 1 || \
	(LIBBPF_MAJOR_VERSION == 1 && LIBBPF_MINOR_VERSION < 2)
#define bpf_prog_get_info_by_fd bpf_obj_get_info_by_fd
#define bpf_map_get_info_by_fd bpf_obj_get_info_by_fd
#endif

#define complain(...) fprintf(stderr, "loader: " __VA_ARGS__)

struct options {
	const char *interface;
	int ifindex;
	const char *mode;
	struct in_addr match_address;
	struct in_addr target_address;
	in_port_t match_port;
	in_port_t target_port;
};

struct pins {
	char directory[PIN_BYTES];
	char program[PIN_BYTES];
	char hits[PIN_BYTES];
};

static struct pins pin_paths(const char *interface)
{
	struct pins pins;

	snprintf(pins.directory, PIN_BYTES, PIN_ROOT "/" ARM "-%s", interface);
	snprintf(pins.program, PIN_BYTES, PIN_ROOT "/" ARM "-%s/program",
		 interface);
	snprintf(pins.hits, PIN_BYTES, PIN_ROOT "/" ARM "-%s/hits", interface);
	return pins;
}

static void remove_pins(const struct pins *pins)
{
	unlink(pins->hits);
	unlink(pins->program);
	rmdir(pins->directory);
	rmdir(PIN_ROOT); /* stays while another arm has pins in it */
}

static int make_pin_directory(const struct pins *pins)
{
	struct statfs fs;

	if (!statfs(BPFFS, &fs) && fs.f_type != BPF_FS_MAGIC &&
	    mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=0700")) {
		complain("cannot mount " BPFFS ": %s\n", strerror(errno));
		return -1;
	}
	if ((mkdir(PIN_ROOT, 0700) && errno != EEXIST) ||
	    mkdir(pins->directory, 0700)) {
		complain("cannot make %s: %s\n", pins->directory,
			 strerror(errno));
		return -1;
	}
	return 0;
}

static const char *mode_name(__u8 attach_mode)
{
	switch (attach_mode) {
	case XDP_ATTACHED_NONE:
		return "none";
	case XDP_ATTACHED_SKB:
		return "generic";
	case XDP_ATTACHED_DRV:
		return "native";
	case XDP_ATTACHED_HW:
		return "offloaded";
	default:
		return "multiple";
	}
}

/* Always an explicit mode: without one the kernel falls back to generic. */
static __u32 mode_flags(const char *mode)
{
	return strcmp(mode, "native") ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
}

static int query(const struct options *options,
		 struct bpf_xdp_query_opts *attached)
{
	int err = bpf_xdp_query(options->ifindex, 0, attached);

	if (err)
		complain("cannot ask for the XDP program on %s: %s\n",
			 options->interface, strerror(-err));
	return err;
}

/* Describe the program we pinned; its descriptor, or < 0 if there is none. */
static int open_pinned(const struct pins *pins, struct bpf_prog_info *info)
{
	__u32 bytes = sizeof(*info);
	int fd = bpf_obj_get(pins->program);

	memset(info, 0, bytes);
	if (fd >= 0 && bpf_prog_get_info_by_fd(fd, info, &bytes)) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* Read the map of constants, if it is this one. */
static bool read_constants(int map, struct redirect__rodata *constants)
{
	struct bpf_map_info info = {};
	__u32 bytes = sizeof(info), key = 0;

	return !bpf_map_get_info_by_fd(map, &info, &bytes) &&
	       !strcmp(info.name, "redirect.rodata") &&
	       info.value_size == sizeof(*constants) &&
	       !bpf_map_lookup_elem(map, &key, constants);
}

/*
 * The constants that this program runs with. Only its own maps are looked at,
 * as the kernel lists them. They were frozen before it was loaded: what is read
 * here is what the verifier saw, and nobody can have changed it since.
 */
static bool find_constants(int program, struct redirect__rodata *constants)
{
	__u32 ids[MOST_MAPS];
	struct bpf_prog_info info = {
		.nr_map_ids = MOST_MAPS,
		.map_ids = (__u64)(unsigned long)ids,
	};
	__u32 bytes = sizeof(info);
	bool found = false;

	if (bpf_prog_get_info_by_fd(program, &info, &bytes))
		return false;
	for (__u32 i = 0; !found && i < info.nr_map_ids; i++) {
		int map = bpf_map_get_fd_by_id(ids[i]);

		if (map < 0)
			continue;
		found = read_constants(map, constants);
		close(map);
	}
	return found;
}

static void driver_name(const char *interface, char *name, size_t bytes)
{
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq request = { .ifr_data = (void *)&driver };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	if (ioctl(fd, SIOCETHTOOL, &request))
		snprintf(driver.driver, sizeof(driver.driver), "unknown");
	close(fd);
	snprintf(name, bytes, "%s", driver.driver);
}

static int pin_and_attach(const struct options *options,
			  const struct pins *pins, struct redirect *redirect)
{
	__u32 flags = mode_flags(options->mode) | XDP_FLAGS_UPDATE_IF_NOEXIST;
	int program = bpf_program__fd(redirect->progs.redirect_udp);
	int err;

	/* Pinned first: what is attached must always be known as ours. */
	err = bpf_program__pin(redirect->progs.redirect_udp, pins->program);
	if (!err)
		err = bpf_map__pin(redirect->maps.hits, pins->hits);
	if (err)
		return err;
	err = bpf_xdp_attach(options->ifindex, program, flags, NULL);
	if (err)
		complain("cannot attach to %s in %s mode: %s\n",
			 options->interface, options->mode, strerror(-err));
	return err;
}

static int load(const struct options *options)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, attached);
	struct pins pins = pin_paths(options->interface);
	struct redirect *redirect;
	int err;

	if (query(options, &attached))
		return 1;
	if (attached.attach_mode != XDP_ATTACHED_NONE) {
		complain("%s already has XDP program %u: unload it first\n",
			 options->interface, attached.prog_id);
		return 1;
	}

	redirect = redirect__open();
	if (!redirect) {
		complain("cannot open the program: %s\n", strerror(errno));
		return 1;
	}
	redirect->rodata->match_address = options->match_address.s_addr;
	redirect->rodata->target_address = options->target_address.s_addr;
	redirect->rodata->match_port = options->match_port;
	redirect->rodata->target_port = options->target_port;

	err = redirect__load(redirect); /* prints the verifier's log */
	if (err) {
		complain("the kernel refused the program: %s\n",
			 strerror(-err));
	} else {
		remove_pins(&pins); /* of a call that died half-way */
		err = make_pin_directory(&pins);
		if (!err)
			err = pin_and_attach(options, &pins, redirect);
		if (err)
			remove_pins(&pins);
	}
	redirect__destroy(redirect);
	return err ? 1 : 0;
}

static bool verify_address(const char *name, in_addr_t found, in_addr_t wanted)
{
	char texts[2][INET_ADDRSTRLEN];

	if (found == wanted || !wanted)
		return true;
	inet_ntop(AF_INET, &found, texts[0], sizeof(texts[0]));
	inet_ntop(AF_INET, &wanted, texts[1], sizeof(texts[1]));
	complain("the program has %s %s, not %s\n", name, texts[0], texts[1]);
	return false;
}

static bool verify_port(const char *name, in_port_t found, in_port_t wanted)
{
	if (found == wanted || !wanted)
		return true;
	complain("the program has %s %u, not %u\n", name, ntohs(found),
		 ntohs(wanted));
	return false;
}

/* What was not among the options, 0, is not asked for. */
static bool verify_rule(const struct options *options,
			const struct redirect__rodata *rule)
{
	bool good = true;

	good &= verify_address("match address", rule->match_address,
			       options->match_address.s_addr);
	good &= verify_port("match port", rule->match_port,
			    options->match_port);
	good &= verify_address("target address", rule->target_address,
			       options->target_address.s_addr);
	good &= verify_port("target port", rule->target_port,
			    options->target_port);
	return good;
}

static void print_rule(const struct redirect__rodata *rule)
{
	char match[INET_ADDRSTRLEN], target[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, (const void *)&rule->match_address, match,
		  sizeof(match));
	inet_ntop(AF_INET, (const void *)&rule->target_address, target,
		  sizeof(target));
	printf("\"match_address\": \"%s\", \"match_port\": \"%u\", ", match,
	       ntohs(rule->match_port));
	printf("\"target_address\": \"%s\", \"target_port\": \"%u\", ", target,
	       ntohs(rule->target_port));
}

static int verify(const struct options *options)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, attached);
	struct pins pins = pin_paths(options->interface);
	struct redirect__rodata rule;
	struct bpf_prog_info info;
	const char *mode;
	char driver[32];
	bool has_rule;
	int fd;

	if (query(options, &attached))
		return 1;
	fd = open_pinned(&pins, &info);
	if (fd < 0 || attached.prog_id != info.id) {
		complain("the program of arm " ARM " is not on %s (%s)\n",
			 options->interface,
			 attached.prog_id ? "another is" : "no program is");
		return 1;
	}
	has_rule = find_constants(fd, &rule);
	close(fd);
	if (!has_rule) {
		complain("the program's addresses and ports cannot be read\n");
		return 1;
	}

	mode = mode_name(attached.attach_mode);
	driver_name(options->interface, driver, sizeof(driver));
	printf("{\"mode\": \"%s\", ", mode);
	print_rule(&rule);
	printf("\"program\": \"%s\", \"program_id\": %u, \"tag\": \"",
	       info.name, info.id);
	for (size_t i = 0; i < sizeof(info.tag); i++)
		printf("%02x", info.tag[i]);
	printf("\", \"jited\": %s, \"driver\": \"%s\"}\n",
	       info.jited_prog_len ? "true" : "false", driver);

	if (strcmp(mode, options->mode)) {
		complain("attached in %s mode, not %s\n", mode, options->mode);
		return 1;
	}
	return verify_rule(options, &rule) ? 0 : 1;
}

static int count(const struct options *options)
{
	struct pins pins = pin_paths(options->interface);
	int cpus = libbpf_num_possible_cpus();
	int fd = bpf_obj_get(pins.hits);
	__u64 *hits;
	__u32 key = 0;
	int err;

	if (cpus < 0 || fd < 0) {
		complain("no counter at %s: %s\n", pins.hits, strerror(errno));
		return 1;
	}
	hits = calloc(cpus, sizeof(*hits));
	err = !hits || bpf_map_lookup_elem(fd, &key, hits);
	if (err) {
		complain("cannot read %s: %s\n", pins.hits, strerror(errno));
	} else {
		printf("{\"hits\": [");
		for (int cpu = 0; cpu < cpus; cpu++)
			printf("%s%llu", cpu ? ", " : "",
			       (unsigned long long)hits[cpu]);
		printf("]}\n");
	}
	free(hits);
	close(fd);
	return err;
}

/*
 * What kernel.bpf_stats_enabled=1 has timed so far: runs of the program and the
 * nanoseconds that they took, the two clock readings of each included.
 */
static int probe(const struct options *options)
{
	struct pins pins = pin_paths(options->interface);
	struct bpf_prog_info info;
	int fd = open_pinned(&pins, &info);

	if (fd < 0) {
		complain("no program at %s: %s\n", pins.program,
			 strerror(errno));
		return 1;
	}
	close(fd);
	printf("{\"runs\": %llu, \"run_time_ns\": %llu}\n",
	       (unsigned long long)info.run_cnt,
	       (unsigned long long)info.run_time_ns);
	return 0;
}

static int unload(const struct options *options)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, attached);
	LIBBPF_OPTS(bpf_xdp_attach_opts, only);
	struct pins pins = pin_paths(options->interface);
	struct bpf_prog_info info;
	int ours, err;
	__u32 flags;

	if (query(options, &attached))
		return 1;
	ours = open_pinned(&pins, &info);
	if (attached.attach_mode == XDP_ATTACHED_NONE) {
		err = 0;
	} else if (ours < 0 || attached.prog_id != info.id) {
		complain("left XDP program %u on %s: not that of arm " ARM "\n",
			 attached.prog_id, options->interface);
		err = 1;
	} else {
		only.old_prog_fd = ours; /* the kernel compares once more */
		flags = mode_flags(mode_name(attached.attach_mode));
		err = bpf_xdp_detach(options->ifindex, flags, &only);
		if (err) {
			complain("cannot detach from %s: %s\n",
				 options->interface, strerror(-err));
			return 1;
		}
	}
	remove_pins(&pins);
	return err;
}

static int print_usage(void)
{
	fputs("usage: loader load   --interface NAME --mode generic|native\n"
	      "                     --match-address IPV4 --match-port PORT\n"
	      "                     --target-address IPV4 --target-port PORT\n"
	      "       loader verify the same; addresses and ports may be left out\n"
	      "       loader count  --interface NAME\n"
	      "       loader probe  --interface NAME\n"
	      "       loader unload --interface NAME\n",
	      stderr);
	return 2;
}

/* To network byte order; 0, which is no port, for anything but a port. */
static in_port_t parse_port(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	return *end || port > 65535 ? 0 : htons(port);
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "interface", required_argument, NULL, 'i' },
		{ "mode", required_argument, NULL, 'm' },
		{ "match-address", required_argument, NULL, 'a' },
		{ "match-port", required_argument, NULL, 'p' },
		{ "target-address", required_argument, NULL, 'A' },
		{ "target-port", required_argument, NULL, 'P' },
		{}
	};
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'i':
			options->interface = optarg;
			options->ifindex = if_nametoindex(optarg);
			good = options->ifindex;
			break;
		case 'm':
			options->mode = optarg;
			good = !strcmp(optarg, "generic") ||
			       !strcmp(optarg, "native");
			break;
		case 'a':
			good = inet_pton(AF_INET, optarg,
					 &options->match_address) == 1;
			break;
		case 'A':
			good = inet_pton(AF_INET, optarg,
					 &options->target_address) == 1;
			break;
		case 'p':
			options->match_port = parse_port(optarg);
			good = options->match_port;
			break;
		case 'P':
			options->target_port = parse_port(optarg);
			good = options->target_port;
			break;
		default:
			return false;
		}
		if (!good) {
			complain("bad value: %s\n", optarg);
			return false;
		}
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options options = {};
	const char *command = argc > 1 ? argv[1] : "";

	if (argc < 2 || !parse_options(argc - 1, argv + 1, &options) ||
	    !options.interface)
		return print_usage();
	if (!strcmp(command, "count"))
		return count(&options);
	if (!strcmp(command, "probe"))
		return probe(&options);
	if (!strcmp(command, "unload"))
		return unload(&options);
	if (!strcmp(command, "verify") && options.mode)
		return verify(&options);
	if (!strcmp(command, "load") && options.mode &&
	    options.match_address.s_addr && options.match_port &&
	    options.target_address.s_addr && options.target_port)
		return load(&options);
	return print_usage();
}
