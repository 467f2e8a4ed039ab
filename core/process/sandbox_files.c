/* Landlock. See sandbox_files.h. */
#include "process/sandbox_files.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The headers of Debian 12 are Linux 6.1's; what came later has its numbers here
 * (landlock(7), linux/landlock.h). */
#define FS_EXECUTE     (1u << 0)
#define FS_WRITE_FILE  (1u << 1)
#define FS_READ_FILE   (1u << 2)
#define FS_READ_DIR    (1u << 3)
#define FS_REMOVE_DIR  (1u << 4)
#define FS_REMOVE_FILE (1u << 5)
#define FS_MAKE_DIR    (1u << 7)
#define FS_MAKE_REG    (1u << 8)
#define FS_MAKE_SOCK   (1u << 9)
#define FS_MAKE_FIFO   (1u << 10)
#define FS_MAKE_SYM    (1u << 12)
#define FS_FIRST       ((1u << 13) - 1) /* all of ABI 1 */
#define FS_REFER       (1u << 13)
#define FS_TRUNCATE    (1u << 14)
#define FS_IOCTL_DEV   (1u << 15)

#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

#define NET_BIND_TCP    1u
#define NET_CONNECT_TCP 2u
#define RULE_NET_PORT   2
#define SCOPED_ABSTRACT 1u
#define SCOPED_SIGNALS  2u

#define VERSION_FLAG 1u

/* struct landlock_ruleset_attr of ABI 6. Kernels of before take a longer one whose further members
 * are zero. */
struct ruleset {
    uint64_t fs, net, scoped;
};

struct __attribute__((packed)) beneath {
    uint64_t access;
    int32_t parent;
};

int sandbox_files_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_FLAG);

    return abi < 0 ? 0 : (int)abi;
}

/* The rights that a kernel of this ABI knows. */
static uint32_t known(int abi)
{
    return FS_FIRST | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
           (abi >= 5 ? FS_IOCTL_DEV : 0);
}

int sandbox_files_begin(unsigned walls, struct error *error)
{
    int abi = sandbox_files_abi();
    struct ruleset set = {0};

    if ((walls & WALL_FILES) != 0)
        set.fs = known(abi);
    if (abi >= LANDLOCK_ABI_TCP)
        set.net = ((walls & WALL_BIND) != 0 ? NET_BIND_TCP : 0) |
                  ((walls & WALL_CONNECT) != 0 ? NET_CONNECT_TCP : 0);
    if (abi >= LANDLOCK_ABI_SIGNALS)
        set.scoped = ((walls & WALL_ABSTRACT) != 0 ? SCOPED_ABSTRACT : 0) |
                     ((walls & WALL_SIGNALS) != 0 ? SCOPED_SIGNALS : 0);
    /* A set without rules is refused. This one asks for what only root could do, and keeps other
     * processes from being traced. */
    if (set.fs == 0 && set.net == 0 && set.scoped == 0)
        set.fs = LANDLOCK_ACCESS_FS_MAKE_BLOCK;
    int rules = (int)syscall(SYS_landlock_create_ruleset, &set, sizeof(set), 0);
    if (rules < 0)
        error_errno(error, "the kernel takes no rules for files (landlock(7))");
    return rules;
}

static uint32_t rights(unsigned access)
{
    return ((access & ACCESS_READ) != 0 ? FS_READ_FILE | FS_READ_DIR : 0) |
           ((access & ACCESS_WRITE) != 0
                ? FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |
                      FS_MAKE_REG | FS_MAKE_SOCK | FS_MAKE_FIFO | FS_MAKE_SYM | FS_REFER
                : 0) |
           ((access & ACCESS_RUN) != 0 ? FS_EXECUTE : 0) |
           ((access & ACCESS_ADD) != 0 ? FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG | FS_REMOVE_FILE
                                       : 0);
}

void sandbox_files_allow(int rules, const char *path, unsigned access)
{
    struct stat status;
    struct beneath beneath = {.parent = open(path, O_PATH | O_CLOEXEC)};

    if (beneath.parent < 0)
        return; /* what cannot be reached cannot be opened either */
    beneath.access = rights(access) & known(sandbox_files_abi());
    if (fstat(beneath.parent, &status) == 0 && !S_ISDIR(status.st_mode))
        beneath.access &= FS_OF_FILES;
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    close(beneath.parent);
}

void sandbox_files_connect(int rules, uint16_t port)
{
    const struct {
        uint64_t access, port;
    } rule = {NET_CONNECT_TCP, port};

    syscall(SYS_landlock_add_rule, rules, RULE_NET_PORT, &rule, 0);
}

bool sandbox_files_enter(int rules, struct error *error)
{
    bool good = syscall(SYS_landlock_restrict_self, rules, 0) == 0 ||
                error_errno(error, "the kernel takes no rules for files (landlock(7))");

    close(rules);
    return good;
}
