/* SPDX-License-Identifier: MIT */
/*
 * The default file depends on nothing but the user: a job that cron starts, a service and a
 * shell of the same user must meet in the same file. So no variable of the environment is asked
 * ($XDG_RUNTIME_DIR is absent under cron, and removed at the last logout, locks and all), and
 * there is no second choice for when the first fails: a service may be kept from writing where
 * the shell may (ProtectSystem=), and may have another /tmp (PrivateTmp=).
 *
 *   root      /var/lock/pawl/pawl.db
 *   others    .local/state/pawl/pawl.db in the home directory that the user database names
 *
 * SQLite opens further names beside its file. Therefore the file lies in a directory of its own
 * that belongs to the user and that nobody else can write; anything else there by that name is
 * refused.
 */
#define _GNU_SOURCE
#include "sqlite_path.h"

#include "../../base/line.h"
#include "sqlite_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

int (*pawl__sqlite_statfs)(const char *path, struct statfs *ret_statfs) = statfs;

void pawl__sqlite_say(char *ret_message, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_message, PAWL_MESSAGE_MAX, format, args);
    va_end(args);
    pawl__line_mend(ret_message); /* it quotes paths */
}

pawl_err pawl__sqlite_err_of_errno(int number)
{
    switch (number) {
    case EACCES:
    case EPERM:
    case ELOOP: /* a symbolic link where none is followed */
        return PAWL_ERR_PERMISSION;
    case EROFS:
        return PAWL_ERR_READONLY;
    case ENOSPC:
    case EDQUOT:
        return PAWL_ERR_STORE_FULL;
    case ENOENT:
    case ENOTDIR:
        return PAWL_ERR_UNAVAILABLE;
    case ENOMEM:
        return PAWL_ERR_NO_MEMORY;
    }
    return PAWL_ERR_SYSTEM;
}

static int fail_errno(const char *what, const char *path, char *reterr_message)
{
    int number = errno;
    pawl__sqlite_say(reterr_message, "%s %s: %s", what, path, strerror(number));
    return pawl__sqlite_err_of_errno(number);
}

/* ---- From the URL -------------------------------------------------------------- */

int pawl__sqlite_path_of_url(const pawl_url *url, char *ret_path, char *reterr_message)
{
    const char *path = url->path ? url->path : "";
    size_t len = strlen(path), cwd_len = 0;
    char cwd[PATH_MAX] = "";

    if ((url->host && url->host[0]) || url->user || url->password || url->port >= 0) {
        pawl__sqlite_say(reterr_message, "%s: a sqlite URL names a file only: sqlite:/path/file.db",
                         url->redacted);
        return PAWL_ERR_URL;
    }
    if (len == 0) {
        ret_path[0] = '\0';
        return 0;
    }
    if (path[len - 1] == '/') {
        pawl__sqlite_say(reterr_message, "%s: names a directory, not a file", url->redacted);
        return PAWL_ERR_URL;
    }
    if (path[0] != '/') {
        if (!getcwd(cwd, sizeof(cwd))) return fail_errno("cannot resolve", path, reterr_message);
        cwd_len = strlen(cwd) + 1;
    }
    if (cwd_len + len >= PAWL__SQLITE_PATH_MAX) {
        pawl__sqlite_say(reterr_message, "the path of the sqlite file is too long");
        return PAWL_ERR_URL;
    }
    if (cwd_len > 0) {
        memcpy(ret_path, cwd, cwd_len - 1);
        ret_path[cwd_len - 1] = '/';
    }
    memcpy(ret_path + cwd_len, path, len + 1);
    return 0;
}

/* ---- The default file ---------------------------------------------------------- */

#define ROOT_DIR "/var/lock/pawl"

/* The parts below the home directory that are made if they are absent. */
static const char *const state_dirs[] = {"/.local", "/.local/state", "/.local/state/pawl"};

static int make_dir(const char *path, char *reterr_message)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) return 0;
    return fail_errno("cannot make the directory", path, reterr_message);
}

static int check_private(const char *path, char *reterr_message)
{
    struct stat st;
    if (lstat(path, &st) < 0) return fail_errno("cannot look at", path, reterr_message);
    if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0) return 0;
    pawl__sqlite_say(reterr_message, "%s is not a directory of this user that only he can write",
                     path);
    return PAWL_ERR_PERMISSION;
}

static int no_home(const char *why, char *reterr_message)
{
    pawl__sqlite_say(reterr_message, "user %u has no home directory for the default file: %s",
                     (unsigned)geteuid(), why);
    return PAWL_ERR_UNAVAILABLE;
}

/* Of the user database, not of $HOME. ret_home has PATH_MAX bytes. */
static int home_of_user(char *ret_home, char *reterr_message)
{
    char room[16384];
    struct passwd entry, *found = NULL;
    int number = getpwuid_r(geteuid(), &entry, room, sizeof(room), &found);
    if (!found) {
        return no_home(number ? strerror(number) : "the user database does not know it",
                       reterr_message);
    }
    size_t len = strlen(entry.pw_dir);
    while (len > 0 && entry.pw_dir[len - 1] == '/') len--;
    if (entry.pw_dir[0] != '/' || len == 0 || len >= PAWL__SQLITE_PATH_MAX) {
        return no_home("the user database names none", reterr_message);
    }
    memcpy(ret_home, entry.pw_dir, len);
    ret_home[len] = '\0';
    return 0;
}

static int state_dir_of_user(char *ret_dir, char *reterr_message)
{
    char home[PATH_MAX];
    int rc = home_of_user(home, reterr_message);
    for (size_t i = 0; rc == 0 && i < sizeof(state_dirs) / sizeof(state_dirs[0]); i++) {
        if (snprintf(ret_dir, PATH_MAX, "%s%s", home, state_dirs[i]) >= PAWL__SQLITE_PATH_MAX) {
            return no_home("its path is too long", reterr_message);
        }
        rc = make_dir(ret_dir, reterr_message);
    }
    return rc;
}

static int default_path(char *ret_path, char *reterr_message)
{
    char dir[PATH_MAX] = ROOT_DIR;
    int rc =
        geteuid() == 0 ? make_dir(dir, reterr_message) : state_dir_of_user(dir, reterr_message);
    if (rc == 0) rc = check_private(dir, reterr_message);
    if (rc == 0) snprintf(ret_path, PATH_MAX, "%s/pawl.db", dir);
    return rc;
}

void pawl__sqlite_path_advise(const char *wanted, char *message)
{
    if (wanted[0]) return;
    size_t len = strnlen(message, PAWL_MESSAGE_MAX - 1);
    snprintf(message + len, PAWL_MESSAGE_MAX - len,
             " (the default file of this user; where a service may not use it, permit it, with "
             "systemd by ReadWritePaths=, or name one file for all: "
             "PAWL_STORE=sqlite:/path/locks.db)");
}

/* ---- The filesystem ------------------------------------------------------------ */

/* Numbers of the kernel's magic.h and of filesystems that keep theirs to themselves. */
static const struct {
    unsigned long magic;
    const char *name;
} shared_filesystems[] = {
    {NFS_SUPER_MAGIC, "NFS"},
    {SMB_SUPER_MAGIC, "SMB"},
    {0xFF534D42, "CIFS"},
    {0xFE534D42, "SMB2"},
    {V9FS_MAGIC, "9p"},
    {AFS_SUPER_MAGIC, "AFS"},
    {0x6B414653, "kAFS"},
    {CODA_SUPER_MAGIC, "Coda"},
    {NCP_SUPER_MAGIC, "NCP"},
    {0x00C36400, "Ceph"},
    {0x0BD00BD0, "Lustre"},
    {0x01161970, "GFS2"},
    {0x7461636F, "OCFS2"},
    {0x47504653, "GPFS"},
    {0x19830326, "BeeGFS"},
    {0x65735546, "FUSE"}, /* sshfs, virtiofs, GlusterFS: who else writes there is unknown */
    {0x786F4256, "VirtualBox shared folder"},
    {0xBACBACBC, "VMware shared folder"},
};

const char *pawl__sqlite_shared_fs_name(long f_type)
{
    unsigned long magic = (unsigned long)f_type & 0xFFFFFFFFul;
    for (size_t i = 0; i < sizeof(shared_filesystems) / sizeof(shared_filesystems[0]); i++) {
        if (shared_filesystems[i].magic == magic) return shared_filesystems[i].name;
    }
    return NULL;
}

/* Another machine has another clock and another WAL index: two holders at once (law 1). */
static int check_filesystem(const char *dir, char *reterr_message)
{
    struct statfs fs;
    if (pawl__sqlite_statfs(dir, &fs) < 0) return fail_errno("cannot examine", dir, reterr_message);
    const char *name = pawl__sqlite_shared_fs_name((long)fs.f_type);
    if (!name) return 0;
    pawl__sqlite_say(
        reterr_message,
        "%s lies on a network filesystem (%s): other machines may write there; use a local "
        "directory, or another store",
        dir, name);
    return PAWL_ERR_NETWORK_FS;
}

/*
 * SQLite's log and the files of ours go by the name of the database. A database that is
 * mounted alone (a container's `-v locks.db:/data/locks.db`) is one file for all, but each of
 * them makes a log and a live file of its own beside it: two holders at once (law 1).
 */
static int check_mounts(const char *path, const char *dir, char *reterr_message)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-live"};
    char file[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    int64_t mount = pawl__sqlite_mount_of(dir);
    if (mount < 0) return fail_errno("cannot examine", dir, reterr_message);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        int64_t found = pawl__sqlite_mount_of(file);
        if (found == mount || (found < 0 && errno == ENOENT)) continue;
        if (found < 0) return fail_errno("cannot examine", file, reterr_message);
        pawl__sqlite_say(reterr_message,
                         "%s is mounted alone, and not with the files beside it that keep the "
                         "locks apart: mount the whole directory",
                         file);
        return PAWL_ERR_WRONG_TYPE;
    }
    return 0;
}

#define PROBE_LEN 65536

/* ---- The file ------------------------------------------------------------------ */

/* The directory of an absolute path. ret_dir has PATH_MAX bytes. */
static void dir_of(const char *path, char *ret_dir)
{
    int len = (int)(strrchr(path, '/') - path);
    snprintf(ret_dir, PATH_MAX, "%.*s", len > 0 ? len : 1, path);
}

/* Where all may write, and only the owner of a link may change it, it belongs to somebody else. */
static bool is_strangers_link(const char *path)
{
    char dir[PATH_MAX];
    struct stat link_stat, dir_stat;
    if (lstat(path, &link_stat) < 0 || !S_ISLNK(link_stat.st_mode)) return false;
    dir_of(path, dir);
    if (stat(dir, &dir_stat) < 0) return false;
    const mode_t shared = S_ISVTX | S_IWOTH;
    return (dir_stat.st_mode & shared) == shared && link_stat.st_uid != geteuid() &&
           link_stat.st_uid != dir_stat.st_uid;
}

/*
 * In /tmp and the like anybody may put a link in our way: it decides which file we make and with
 * whom we meet there, today this and tomorrow another. Kernels refuse such links
 * (protected_symlinks) where that is switched on, and not to one who reads them himself, as
 * realpath does.
 */
static int check_links(const char *wanted, char *reterr_message)
{
    char part[PATH_MAX];
    for (const char *end = wanted; *end;) {
        end = strchrnul(end + 1, '/');
        snprintf(part, sizeof(part), "%.*s", (int)(end - wanted), wanted);
        if (!is_strangers_link(part)) continue;
        pawl__sqlite_say(reterr_message,
                         "%s is a symbolic link of another user in a directory that all may write: "
                         "name the file that is meant",
                         part);
        return PAWL_ERR_PERMISSION;
    }
    return 0;
}

/* The directory without symbolic links, the file's name behind it. */
static int resolve(const char *wanted, char *ret_path, char *reterr_message)
{
    char parent[PATH_MAX], dir[PATH_MAX];
    int len, rc = check_links(wanted, reterr_message);
    if (rc != 0) return rc;
    if (realpath(wanted, ret_path)) {
        len = (int)strlen(ret_path);
    } else {
        if (errno != ENOENT) return fail_errno("cannot open", wanted, reterr_message);
        dir_of(wanted, parent);
        if (!realpath(parent, dir)) return fail_errno("cannot open", wanted, reterr_message);
        const char *name = strrchr(wanted, '/') + 1;
        len = snprintf(ret_path, PATH_MAX, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name);
    }
    if (len < PAWL__SQLITE_PATH_MAX) return 0;
    errno = ENAMETOOLONG;
    return fail_errno("cannot use", wanted, reterr_message);
}

static int move_new(const char *from, const char *to)
{
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1u /* RENAME_NOREPLACE */) == 0) {
        return 0;
    }
    if (errno != ENOSYS && errno != EINVAL) return -1;
    int rc = link(from, to);
    int saved = errno;
    unlink(from);
    errno = saved;
    return rc;
}

/*
 * Makes the empty file under another name and moves it into place. It is never open under
 * its own name but by SQLite: closing such a descriptor would drop the
 * POSIX locks of every connection that this process has to it.
 */
static int create_empty(const char *path, mode_t mode, char *reterr_message)
{
    char fresh[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    uint64_t nonce = 0;
    if (getrandom(&nonce, sizeof(nonce), 0) < 0) {
        return fail_errno("cannot create", path, reterr_message);
    }
    snprintf(fresh, sizeof(fresh), "%s.new-%016llx", path, (unsigned long long)nonce);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode ? mode : 0660);
    if (fd < 0) return fail_errno("cannot create", path, reterr_message);
    if (mode) (void)!fchmod(fd, mode);
    close(fd);
    if (move_new(fresh, path) == 0) return 0;
    int saved = errno;
    unlink(fresh);
    errno = saved;
    return errno == EEXIST ? 0 : fail_errno("cannot create", path, reterr_message);
}

/* A descriptor to close, or an error: _STORE_BUSY if somebody creates beside us. */
static int lock_dir(const char *dir, char *reterr_message)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno("cannot open", dir, reterr_message);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    int rc = errno == EWOULDBLOCK ? PAWL_ERR_STORE_BUSY : PAWL_ERR_SYSTEM;
    (void)fail_errno("cannot lock the directory", dir, reterr_message);
    close(fd);
    return rc;
}

/*
 * If only the database was deleted, its log and the log's index still lie there, perhaps in
 * use by processes that have not noticed. The new one must not share them. Nobody else
 * creates meanwhile, so they are not those of a new one.
 */
static int create(const char *path, const char *dir, mode_t mode, char *reterr_message)
{
    static const char *const suffixes[] = {"-wal", "-shm"};
    char file[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    struct stat st;
    int rc = 0, lock = lock_dir(dir, reterr_message);
    if (lock < 0) return lock;
    if (lstat(path, &st) < 0) {
        for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
            snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
            if (unlink(file) == 0 || errno == ENOENT) continue;
            rc = fail_errno("cannot remove the log of a database that is gone:", file,
                            reterr_message);
        }
        if (rc == 0) rc = create_empty(path, mode, reterr_message);
    }
    close(lock);
    return rc;
}

int pawl__sqlite_path_choose(const char *wanted, char *ret_path, char *reterr_message)
{
    if (!wanted[0]) return default_path(ret_path, reterr_message);
    snprintf(ret_path, PATH_MAX, "%s", wanted);
    return 0;
}

bool pawl__sqlite_path_follow(char *path)
{
    char target[PATH_MAX], next[2 * PATH_MAX];
    ssize_t len = readlink(path, target, sizeof(target) - 1);
    if (len < 0) return false;
    target[len] = '\0';
    int dir_len = target[0] == '/' ? 0 : (int)(strrchr(path, '/') - path) + 1;
    int next_len = snprintf(next, sizeof(next), "%.*s%s", dir_len, path, target);
    if (next_len >= PATH_MAX) return false;
    memcpy(path, next, (size_t)next_len + 1);
    return true;
}

int pawl__sqlite_path_prepare(const char *wanted, mode_t mode, char *ret_path,
                              struct stat *ret_stat, char *reterr_message)
{
    char chosen[PATH_MAX], dir[PATH_MAX];
    int rc;

    if ((rc = pawl__sqlite_path_choose(wanted, chosen, reterr_message)) != 0) return rc;
    if ((rc = resolve(chosen, ret_path, reterr_message)) != 0) return rc;

    dir_of(ret_path, dir);
    if ((rc = check_filesystem(dir, reterr_message)) != 0) return rc;

    if (lstat(ret_path, ret_stat) < 0) {
        if (errno != ENOENT) return fail_errno("cannot open", ret_path, reterr_message);
        if ((rc = create(ret_path, dir, mode, reterr_message)) != 0) return rc;
        if (lstat(ret_path, ret_stat) < 0)
            return fail_errno("cannot open", ret_path, reterr_message);
    }
    if (!S_ISREG(ret_stat->st_mode)) {
        pawl__sqlite_say(reterr_message, "%s is not a regular file", ret_path);
        return PAWL_ERR_WRONG_TYPE;
    }
    if (ret_stat->st_nlink > 1) { /* the log and the inboxes go by the name: two names, two locks */
        pawl__sqlite_say(reterr_message, "%s has %lu names (hard links): locks need one", ret_path,
                         (unsigned long)ret_stat->st_nlink);
        return PAWL_ERR_WRONG_TYPE;
    }
    return check_mounts(ret_path, dir, reterr_message);
}

/* 0 or -1 with errno. */
static int write_all(int fd, size_t len)
{
    static const char block[4096];
    while (len > 0) {
        ssize_t n = write(fd, block, len < sizeof(block) ? len : sizeof(block));
        if (n < 0 && errno != EINTR) return -1;
        if (n > 0) len -= (size_t)n;
    }
    return 0;
}

int pawl__sqlite_path_probe(const char *path, char *reterr_message)
{
    char file[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    uint64_t nonce = 0;
    (void)!getrandom(&nonce, sizeof(nonce), 0);
    snprintf(file, sizeof(file), "%s.probe-%016llx", path, (unsigned long long)nonce);
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return fail_errno("cannot make a file beside", path, reterr_message);
    int rc = write_all(fd, PROBE_LEN);
    int saved = errno;
    unlink(file);
    close(fd);
    errno = saved;
    return rc < 0 ? fail_errno("cannot write a file beside", path, reterr_message) : 0;
}

/* The files of SQLite; the last two are its log and the log's index. */
static const char *const sqlite_files[] = {"", "-wal", "-shm"};

int pawl__sqlite_path_check_writable(const char *path, char *reterr_message)
{
    char dir[PATH_MAX], file[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & 0222) == 0) {
        pawl__sqlite_say(reterr_message, "%s is read-only (mode %03o)", path,
                         (unsigned)(st.st_mode & 0777));
        return PAWL_ERR_READONLY;
    }
    for (size_t i = 0; i < sizeof(sqlite_files) / sizeof(sqlite_files[0]); i++) {
        snprintf(file, sizeof(file), "%s%s", path, sqlite_files[i]);
        if (faccessat(AT_FDCWD, file, R_OK | W_OK, AT_EACCESS) == 0) continue;
        if (i == 0 || errno != ENOENT) return fail_errno("cannot write", file, reterr_message);
    }
    dir_of(path, dir);
    if (faccessat(AT_FDCWD, dir, R_OK | W_OK | X_OK, AT_EACCESS) < 0) {
        return fail_errno("cannot write in the directory", dir, reterr_message);
    }
    return 0;
}

int pawl__sqlite_path_check_readable(const char *path, char *reterr_message)
{
    char file[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    for (size_t i = 0; i < sizeof(sqlite_files) / sizeof(sqlite_files[0]); i++) {
        snprintf(file, sizeof(file), "%s%s", path, sqlite_files[i]);
        if (faccessat(AT_FDCWD, file, R_OK, AT_EACCESS) == 0) continue;
        return fail_errno("cannot read", file, reterr_message);
    }
    return 0;
}
