/* Walking a path, and looking who may write what is on it. See writers.h. */
#include "base/writers.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as path_resolution(7) */
#define KNOWN_MAX 32 /* users or groups that are trusted beside root */

/* Users or groups. Root, 0, is in both sets. */
struct ids {
    unsigned known[KNOWN_MAX];
    size_t count;
};

static struct {
    struct ids users, groups;
    bool any_file;   /* anybody may write the program's file, */
    bool any_folder; /* or a directory on the way to it */
} trusted;

static bool ids_have(const struct ids *ids, unsigned id)
{
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->known[i] == id)
            return true;
    }
    return id == 0;
}

static void ids_add(struct ids *ids, unsigned id)
{
    if (!ids_have(ids, id) && ids->count < KNOWN_MAX)
        ids->known[ids->count++] = id;
}

/* What a walk has reached. */
struct step {
    const char *path;
    const struct stat *status;
    bool shared; /* others than its owner may make files in the directory that it is in (sticky) */
};

/* What is done at each step. False ends the walk. */
typedef bool step_look(const struct step *step, struct error *error);

/* ---- Looking at one file ---- */

/* In a directory with the sticky bit, only the owner of a file, of the directory and root may
 * remove and rename files (unlink(2)). */
static bool is_sticky(const struct stat *status)
{
    return S_ISDIR(status->st_mode) && (status->st_mode & S_ISVTX) != 0;
}

/* True when nobody can change what is at this step by the step's own rights. A link has none: who
 * may replace it, the directory decides. */
static bool is_fixed(const struct step *step)
{
    struct statvfs mount;

    if (S_ISLNK(step->status->st_mode))
        return !step->shared;
    return statvfs(step->path, &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0;
}

static bool trust(const struct step *step, struct error *error)
{
    mode_t mode = step->status->st_mode;
    bool counts = !is_sticky(step->status) && !S_ISLNK(mode);

    (void)error;
    if (is_fixed(step))
        return true;
    ids_add(&trusted.users, step->status->st_uid);
    if (counts && (mode & S_IWGRP) != 0)
        ids_add(&trusted.groups, step->status->st_gid);
    if (counts && (mode & S_IWOTH) != 0)
        *(S_ISDIR(mode) ? &trusted.any_folder : &trusted.any_file) = true;
    return true;
}

static bool refuse(const struct step *step, const char *who, const char *remedy,
                   struct error *error)
{
    return error_set(error,
                     "%s may write %s (mode %04o, user %u, group %u), and root has started this "
                     "server: `%s %s`",
                     who, step->path, step->status->st_mode & 07777, (unsigned)step->status->st_uid,
                     (unsigned)step->status->st_gid, remedy, step->path);
}

static bool check(const struct step *step, struct error *error)
{
    const struct stat *status = step->status;
    mode_t mode = status->st_mode;
    bool any = trusted.any_file || (trusted.any_folder && S_ISDIR(mode));
    bool counts = !is_sticky(status) && !S_ISLNK(mode);
    char who[48];

    if (is_fixed(step))
        return true;
    if (counts && (mode & S_IWOTH) != 0 && !any)
        return refuse(step, "everybody", "chmod o-w", error);
    if (counts && (mode & S_IWGRP) != 0 && !ids_have(&trusted.groups, status->st_gid)) {
        snprintf(who, sizeof(who), "the group %u", (unsigned)status->st_gid);
        return refuse(step, who, "chmod g-w", error);
    }
    if (ids_have(&trusted.users, status->st_uid))
        return true;
    snprintf(who, sizeof(who), "its owner, user %u,", (unsigned)status->st_uid);
    return refuse(step, who, S_ISLNK(mode) ? "chown -h root" : "chown root", error);
}

/* ---- Walking ---- */

struct walk {
    char at[PATH_MAX];   /* a directory without a link on the way to it; "" is the root */
    char rest[PATH_MAX]; /* what is still to be walked, from there */
    bool shared;         /* files in `at` are not only its owner's */
    int links;
};

static bool fail(const char *path, int number, struct error *error)
{
    errno = number;
    return error_errno(error, "cannot look who may write %s", path);
}

/* Takes the next component of `rest` into `name`. False when there is none. */
static bool take_name(struct walk *walk, char name[NAME_MAX + 1])
{
    const char *start = walk->rest + strspn(walk->rest, "/");
    size_t size = strcspn(start, "/");

    if (size == 0 || size > NAME_MAX) /* lstat(2) would find no file of so long a name */
        return false;
    memcpy(name, start, size);
    name[size] = '\0';
    memmove(walk->rest, start + size, strlen(start + size) + 1);
    return true;
}

/* Puts the target of the link at `path` in front of the rest. */
static bool follow(struct walk *walk, const char *path, struct error *error)
{
    char target[PATH_MAX], rest[PATH_MAX];

    ssize_t size = readlink(path, target, sizeof(target) - 1);
    if (size < 0)
        return fail(path, errno, error);
    target[size] = '\0';
    size_t length = strlen(walk->rest);
    if (++walk->links > LINKS_MAX || (size_t)size + 1 + length >= sizeof(rest))
        return fail(path, walk->links > LINKS_MAX ? ELOOP : ENAMETOOLONG, error);
    memcpy(rest, target, (size_t)size);
    rest[size] = '/';
    memcpy(rest + size + 1, walk->rest, length + 1);
    memcpy(walk->rest, rest, (size_t)size + 1 + length + 1);
    if (target[0] == '/')
        walk->at[0] = '\0';
    return true;
}

/* Looks at `name` in the directory that was reached. `more` says whether the walk goes on. */
static bool step_to(struct walk *walk, const char *name, step_look *look, bool *more,
                    struct error *error)
{
    char path[PATH_MAX];
    struct stat status;
    size_t size = strlen(walk->at);

    *more = false;
    if (size + 1 + strlen(name) >= sizeof(path))
        return fail(walk->at, ENAMETOOLONG, error);
    memcpy(path, walk->at, size);
    path[size] = '/';
    strcpy(path + size + 1, name);
    if (lstat(path, &status) < 0)
        return errno == ENOENT || errno == ENOTDIR ? true : fail(path, errno, error);
    const struct step step = {.path = path, .status = &status, .shared = walk->shared};
    if (!look(&step, error))
        return false;
    *more = !S_ISREG(status.st_mode);
    if (S_ISLNK(status.st_mode))
        return follow(walk, path, error);
    strcpy(walk->at, path);
    walk->shared = is_sticky(&status) && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    return true;
}

static bool walk_along(const char *path, step_look *look, struct error *error)
{
    struct walk walk = {.links = 0};
    char name[NAME_MAX + 1];
    struct stat status;
    bool more = true;

    if (strlen(path) >= sizeof(walk.rest))
        return fail(path, ENAMETOOLONG, error);
    strcpy(walk.rest, path);
    const struct step root = {.path = "/", .status = &status};
    if (lstat("/", &status) < 0)
        return fail("/", errno, error);
    if (!look(&root, error))
        return false;
    while (more && take_name(&walk, name)) {
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            char *slash = strrchr(walk.at, '/');
            walk.at[slash == NULL ? 0 : slash - walk.at] = '\0';
        } else if (!step_to(&walk, name, look, &more, error)) {
            return false;
        }
    }
    return true;
}

void writers_trust(const char *path)
{
    struct error ignored;

    walk_along(path, trust, &ignored);
}

void writers_trust_user(unsigned user)
{
    ids_add(&trusted.users, user);
}

void writers_trust_group(unsigned group)
{
    ids_add(&trusted.groups, group);
}

bool writers_check(const char *path, struct error *error)
{
    return walk_along(path, check, error);
}
