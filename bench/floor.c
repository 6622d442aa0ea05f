// The floor: a container made by hand, with the system calls that it needs, one after the other, and nothing else. No bundle is
// read, no state is kept, no error is explained. What a runtime takes beyond it is the price of being one.
//
//   floor ROOTFS FILTER NAME PROGRAM     create, start, wait and delete of one container
//
// The same as crates/mini/tests/bundles/docker.json: six namespaces, its limits and device rules in every mounted hierarchy, its
// mounts, devices, masked and read-only paths, sysctls, capabilities, no_new_privs, and its filter, compiled before (FILTER: four bytes
// of flags, then instructions). Only measures: no other program should be made like this.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    _exit(1);
}
#define TRY(call) do { if ((long)(call) < 0) die(#call); } while (0)

static void put(const char *directory, const char *file, const char *value) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) die(path);
    if (write(fd, value, strlen(value)) < 0) die(path);
    close(fd);
}

// Every hierarchy that is mounted below /sys/fs/cgroup, or that itself.
struct hierarchy { char path[256], name[64]; int v2; } all[32];
static int count;

static void find_hierarchies(void) {
    static char text[1 << 16];
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length < 0) die("mountinfo");
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char place[256], kind[32];
        char *type = strstr(line, " - cgroup");
        if (!type || sscanf(line, "%*s %*s %*s %*s %255s", place) != 1 || sscanf(type, " - %31s", kind) != 1) continue;
        snprintf(all[count].path, sizeof all[count].path, "%s", place);
        snprintf(all[count].name, sizeof all[count].name, "%s", strrchr(place, '/') + 1);
        all[count++].v2 = !strcmp(kind, "cgroup2");
    }
}

static int is(const char *name, const char *controller) {
    size_t length = strlen(controller);
    for (const char *at = name; (at = strstr(at, controller)); at += length)
        if ((at == name || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return 1;
    return 0;
}

static void limit(struct hierarchy *h, const char *directory) {
    if (h->v2) {
        // On a hybrid machine the controllers are not here.
        if (count > 1) return;
        put(directory, "memory.max", "67108864");
        put(directory, "memory.swap.max", "0");
        put(directory, "cpu.max", "50000 100000");
        put(directory, "pids.max", "100");
        return;
    }
    if (is(h->name, "memory")) {
        put(directory, "memory.limit_in_bytes", "67108864");
        put(directory, "memory.memsw.limit_in_bytes", "67108864");
    }
    if (is(h->name, "cpu")) {
        put(directory, "cpu.shares", "1024");
        put(directory, "cpu.cfs_period_us", "100000");
        put(directory, "cpu.cfs_quota_us", "50000");
    }
    if (is(h->name, "pids")) put(directory, "pids.max", "100");
    if (is(h->name, "cpuset")) {
        put(directory, "cpuset.cpus", "0-1");
        put(directory, "cpuset.mems", "0");
    }
    if (is(h->name, "devices")) {
        put(directory, "devices.deny", "a");
        static const char *rules[] = {"c 1:5 rwm", "c 1:3 rwm", "c 1:9 rwm", "c 1:8 rwm", "c 5:0 rwm", "c 5:1 rwm"};
        for (unsigned i = 0; i < sizeof rules / sizeof *rules; i++) put(directory, "devices.allow", rules[i]);
    }
}

static void mask(const char *path) {
    struct stat stat_;
    if (stat(path, &stat_)) return;
    if (S_ISDIR(stat_.st_mode)) TRY(mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0k"));
    else TRY(mount("dev/null", path, NULL, MS_BIND, NULL));
}

static void make_readonly(const char *path) {
    if (access(path, F_OK)) return;
    TRY(mount(path, path, NULL, MS_BIND | MS_REC, NULL));
    TRY(mount(path, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
}

static void become(const char *rootfs, const char *name, const char *program, struct sock_fprog *filter, unsigned flags, int gate) {
    char path[512];
    TRY(close_range(gate + 1, ~0U, CLOSE_RANGE_CLOEXEC));
    TRY(setsid());
    TRY(sethostname("floor", 5));
    put("/proc/sys/net/ipv4", "ip_unprivileged_port_start", "0");
    put("/proc/sys/net/ipv4", "ping_group_range", "0 2147483647");
    put("/proc/self", "oom_score_adj", "0");
    TRY(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL));
    TRY(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL));
    TRY(chdir(rootfs));
    TRY(mount("proc", "proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL));
    TRY(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
    TRY(mkdir("dev/pts", 0755));
    TRY(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
    TRY(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL));
    if (count == 1) {
        snprintf(path, sizeof path, "%s/%s", all[0].path, name);
        TRY(mount(path, "sys/fs/cgroup", NULL, MS_BIND, NULL));
    } else {
        TRY(mount("cgroup", "sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=755"));
        for (int i = 0; i < count; i++) {
            char target[128];
            snprintf(target, sizeof target, "sys/fs/cgroup/%s", all[i].name);
            TRY(mkdir(target, 0755));
            snprintf(path, sizeof path, "%s/%s", all[i].path, name);
            TRY(mount(path, target, NULL, MS_BIND, NULL));
            TRY(mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
        }
    }
    TRY(mkdir("dev/mqueue", 0755));
    TRY(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL));
    TRY(mkdir("dev/shm", 0755));
    TRY(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=67108864"));
    static const struct { const char *path; int major, minor; } nodes[] = {
        {"dev/null", 1, 3}, {"dev/zero", 1, 5}, {"dev/full", 1, 7}, {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
    umask(0);
    for (unsigned i = 0; i < 6; i++) TRY(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
    TRY(symlink("/proc/self/fd", "dev/fd"));
    TRY(symlink("/proc/self/fd/0", "dev/stdin"));
    TRY(symlink("/proc/self/fd/1", "dev/stdout"));
    TRY(symlink("/proc/self/fd/2", "dev/stderr"));
    TRY(symlink("/proc/kcore", "dev/core"));
    TRY(symlink("pts/ptmx", "dev/ptmx"));
    static const char *readonly[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
    for (unsigned i = 0; i < 5; i++) make_readonly(readonly[i]);
    static const char *masked[] = {"proc/asound", "proc/acpi", "proc/kcore", "proc/keys", "proc/latency_stats",
                                   "proc/timer_list", "proc/timer_stats", "proc/sched_debug", "proc/scsi", "sys/firmware"};
    for (unsigned i = 0; i < 10; i++) mask(masked[i]);
    // Not before: device nodes that the container may not use cannot be made in its cgroup.
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", all[i].path, name);
        put(path, all[i].v2 ? "cgroup.procs" : "tasks", "0");
    }
    TRY(unshare(CLONE_NEWCGROUP));
    TRY(syscall(SYS_pivot_root, ".", "."));
    TRY(umount2(".", MNT_DETACH));
    TRY(chdir("/"));
    TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    static const int kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FSETID, CAP_FOWNER, CAP_MKNOD, CAP_NET_RAW, CAP_SETGID, CAP_SETUID,
                               CAP_SETFCAP, CAP_SETPCAP, CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT, CAP_KILL, CAP_AUDIT_WRITE};
    uint64_t set = 0;
    for (unsigned i = 0; i < 14; i++) set |= 1ULL << kept[i];
    for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
        if (!(set >> capability & 1)) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    gid_t group = 0;
    TRY(syscall(SYS_setgroups, 1, &group));
    TRY(syscall(SYS_setresgid, 0, 0, 0));
    TRY(syscall(SYS_setresuid, 0, 0, 0));
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{set, set, 0}, {set >> 32, set >> 32, 0}};
    TRY(syscall(SYS_capset, &header, data));
    char byte;
    TRY(read(gate, &byte, 1));
    TRY(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC));
    TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, filter));
    char *argv[] = {(char *)program, NULL}, *envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", NULL};
    execve(program, argv, envp);
    die("execve");
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    const char *rootfs = argv[1], *name = argv[3];
    static unsigned char bytes[1 << 16];
    int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (length < 4) die(argv[2]);
    close(fd);
    unsigned flags;
    memcpy(&flags, bytes, 4);
    static struct sock_filter instructions[1 << 13];
    memcpy(instructions, bytes + 4, length - 4);
    struct sock_fprog filter = {(length - 4) / 8, instructions};
    static char path[16384];
    // create
    find_hierarchies();
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", all[i].path, name);
        TRY(mkdir(path, 0755));
        limit(&all[i], path);
    }
    int gate[2];
    TRY(pipe2(gate, 0));
    struct clone_args args = {.flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWIPC, .exit_signal = SIGCHLD};
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0) die("clone3");
    if (pid == 0) become(rootfs, name, argv[4], &filter, flags, gate[0]);
    close(gate[0]);
    // start
    TRY(write(gate[1], "0", 1));
    close(gate[1]);
    // wait
    int status;
    TRY(waitpid(pid, &status, 0));
    // delete
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", all[i].path, name);
        while (rmdir(path) && errno == EBUSY) usleep(100);
    }
    return status ? 1 : 0;
}
