/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_inbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LETTER_MAGIC "PWL2"

/* ---- Letters ------------------------------------------------------------------- */

void pawl__letter_write(pawl__letter *letter, pawl_push_kind kind, const char *name,
                        size_t name_len, const char *token, uint64_t fence, bool waiting)
{
    memset(letter, 0, sizeof(*letter));
    memcpy(letter->magic, LETTER_MAGIC, sizeof(letter->magic));
    letter->kind = (uint8_t)kind;
    letter->waiting = waiting;
    letter->name_len = (uint16_t)name_len;
    letter->fence = fence;
    if (token) memcpy(letter->token, token, PAWL_TOKEN_LEN);
    memcpy(letter->name, name, name_len);
}

static size_t letter_len(const pawl__letter *letter)
{
    return offsetof(pawl__letter, name) + letter->name_len;
}

static bool has_token(const pawl__letter *letter)
{
    return letter->kind == PAWL_PUSH_GRANT || letter->kind == PAWL_PUSH_YIELD;
}

bool pawl__letter_is_valid(const pawl__letter *letter, size_t len)
{
    if (len < offsetof(pawl__letter, name)) return false;
    if (memcmp(letter->magic, LETTER_MAGIC, sizeof(letter->magic)) != 0) return false;
    if (letter->kind > PAWL_PUSH_NEWS) return false;
    if (letter->name_len == 0 || letter->name_len > PAWL_NAME_MAX) return false;
    if (len != letter_len(letter)) return false;
    if (memchr(letter->name, '\0', letter->name_len)) return false;
    if (!has_token(letter)) return true;
    return memchr(letter->token, '\0', PAWL_TOKEN_LEN) == NULL;
}

pawl_push pawl__letter_push(const pawl__letter *letter, pawl__letter_room *room)
{
    bool is_grant = letter->kind == PAWL_PUSH_GRANT;
    memcpy(room->token, letter->token, PAWL_TOKEN_LEN);
    room->token[PAWL_TOKEN_LEN] = '\0';
    size_t slot_count = is_grant ? pawl__slots_list(&letter->slots, room->slots) : 0;
    return (pawl_push){
        .kind = (pawl_push_kind)letter->kind,
        .name = letter->name,
        .name_len = letter->name_len,
        .token = has_token(letter) ? room->token : NULL,
        .fence = letter->fence,
        .waiting = letter->waiting != 0,
        .slots = slot_count > 0 ? room->slots : NULL,
        .slot_count = slot_count,
    };
}

/* ---- The directory ------------------------------------------------------------- */

/* Users who may write the database may also enter the directory: rw becomes rwx. */
static mode_t dir_mode(mode_t db_mode)
{
    mode_t rw = db_mode & 0666;
    return rw | ((rw & 0444) >> 2);
}

/*
 * Where others may write, only the owner of a socket may remove or rename it (the sticky
 * bit); a directory that an earlier version made gets it from its owner.
 */
static void set_dir_mode(int fd, const struct stat *db_stat, bool made)
{
    mode_t wanted = dir_mode(db_stat->st_mode);
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid()) return; /* not the one that we made */
    if (!made) wanted = st.st_mode & 07777;
    if (wanted & 0022) wanted |= S_ISVTX;
    if ((st.st_mode & 07777) != wanted) (void)!fchmod(fd, wanted);
    if (made && geteuid() == 0) (void)!fchown(fd, db_stat->st_uid, db_stat->st_gid);
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

void pawl__sqlite_inbox_init(pawl__sqlite_inbox *inbox)
{
    *inbox = (pawl__sqlite_inbox){.dir_fd = -1};
    for (size_t i = 0; i < PAWL__POST_LINES; i++) inbox->lines[i].fd = -1;
}

int pawl__sqlite_inbox_open(pawl__sqlite_inbox *inbox, const char *dir_path,
                            const struct stat *db_stat)
{
    bool made = mkdir(dir_path, 0700) == 0;
    if (!made && errno != EEXIST) return -1;
    pawl__sqlite_inbox_init(inbox);
    inbox->dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inbox->dir_fd < 0) return -1;
    set_dir_mode(inbox->dir_fd, db_stat, made);
    inbox->lines[0].fd = new_socket();
    if (inbox->lines[0].fd >= 0) return 0;
    pawl__sqlite_inbox_close(inbox);
    return -1;
}

void pawl__sqlite_inbox_close(pawl__sqlite_inbox *inbox)
{
    int saved = errno;
    if (inbox->dir_fd >= 0) close(inbox->dir_fd);
    for (size_t i = 0; i < PAWL__POST_LINES; i++)
        if (inbox->lines[i].fd >= 0) close(inbox->lines[i].fd);
    pawl__sqlite_inbox_init(inbox);
    errno = saved;
}

/* Through a descriptor of the directory: a socket's path has only 107 bytes. */
static bool address_in(int dir_fd, const char *name, struct sockaddr_un *ret_address)
{
    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->sun_family = AF_UNIX;
    int n = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d/%s",
                     dir_fd, name);
    return n > 0 && (size_t)n < sizeof(ret_address->sun_path);
}

/*
 * The descriptor and the address of the socket itself. Others may write in the directory: what
 * has the name may be a link to somebody else's socket, and such a thing is never sent to.
 */
static int find_socket(const pawl__sqlite_inbox *inbox, const char *name,
                       struct sockaddr_un *ret_address)
{
    struct stat st;
    int fd = openat(inbox->dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        close(fd);
        errno = ENOTSOCK;
        return -1;
    }
    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->sun_family = AF_UNIX;
    snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d", fd);
    return fd;
}

/* Others wrote the rows that contain the name: only 32 hex digits are accepted. */
static bool is_client_id(const char *name)
{
    return strlen(name) == PAWL__CLIENT_ID_LEN &&
           strspn(name, "0123456789abcdef") == PAWL__CLIENT_ID_LEN;
}

static int bind_in(int dir_fd, const char *name, int fd)
{
    struct sockaddr_un address;
    if (!address_in(dir_fd, name, &address)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

/* Users who may use the database may write to the socket. */
static bool has_mode_of(const struct stat *st, const struct stat *db_stat)
{
    bool owner_fits =
        geteuid() != 0 || (st->st_uid == db_stat->st_uid && st->st_gid == db_stat->st_gid);
    return S_ISSOCK(st->st_mode) && (st->st_mode & 0777) == (db_stat->st_mode & 0666) && owner_fits;
}

/* A directory below the inboxes that only we can enter. Its descriptor, or -1. */
static int make_private_dir(const pawl__sqlite_inbox *inbox, const char *name)
{
    struct stat st;
    if (mkdirat(inbox->dir_fd, name, 0700) < 0) return -1;
    int fd = openat(inbox->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    bool is_ours = fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0077) == 0;
    if (is_ours) return fd;
    close(fd);
    errno = EPERM;
    return -1;
}

/*
 * The umask takes bits away, and root's socket belongs to root, until it is told otherwise by
 * its name. That name is in a directory of our own: in the common one somebody could put a link
 * there in between, and what it leads to would get the mode.
 */
static int bind_privately(const pawl__sqlite_inbox *inbox, const char *client_id, int fd,
                          const struct stat *db_stat)
{
    static const char name[] = "s";
    char dir_name[PAWL__CLIENT_ID_LEN + sizeof(".new-")];
    snprintf(dir_name, sizeof(dir_name), ".new-%s", client_id);
    int dir_fd = make_private_dir(inbox, dir_name);
    int rc = dir_fd < 0 ? -1 : bind_in(dir_fd, name, fd);
    if (rc == 0) rc = fchmodat(dir_fd, name, db_stat->st_mode & 0666, 0);
    if (rc == 0 && geteuid() == 0) {
        (void)!fchownat(dir_fd, name, db_stat->st_uid, db_stat->st_gid, AT_SYMLINK_NOFOLLOW);
    }
    if (rc == 0) rc = renameat(dir_fd, name, inbox->dir_fd, client_id);
    int saved = errno;
    if (dir_fd >= 0 && rc < 0) unlinkat(dir_fd, name, 0);
    unlinkat(inbox->dir_fd, dir_name, AT_REMOVEDIR);
    if (dir_fd >= 0) close(dir_fd);
    errno = saved;
    return rc;
}

/* The kernel gives the name the mode of the socket, less the umask: mostly that is enough. */
static int bind_plainly(const pawl__sqlite_inbox *inbox, const char *client_id, int fd,
                        const struct stat *db_stat)
{
    struct stat st;
    (void)!fchmod(fd, db_stat->st_mode & 0666);
    if (bind_in(inbox->dir_fd, client_id, fd) < 0) return -1;
    if (fstatat(inbox->dir_fd, client_id, &st, AT_SYMLINK_NOFOLLOW) < 0) return -1;
    if (has_mode_of(&st, db_stat)) return 0;
    unlinkat(inbox->dir_fd, client_id, 0);
    errno = EPERM;
    return -1;
}

int pawl__sqlite_inbox_bind(const pawl__sqlite_inbox *inbox, const char *client_id,
                            const struct stat *db_stat)
{
    if (!is_client_id(client_id)) {
        errno = EINVAL;
        return -1;
    }
    int fd = new_socket();
    if (fd < 0) return -1;
    unlinkat(inbox->dir_fd, client_id, 0);
    if (bind_plainly(inbox, client_id, fd, db_stat) == 0) return fd;
    close(fd); /* it may have a name already */
    fd = new_socket();
    if (fd < 0 || bind_privately(inbox, client_id, fd, db_stat) == 0) return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

bool pawl__sqlite_inbox_is_bound(const pawl__sqlite_inbox *inbox, const char *client_id)
{
    struct stat st;
    return fstatat(inbox->dir_fd, client_id, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode);
}

void pawl__sqlite_inbox_unbind(const pawl__sqlite_inbox *inbox, const char *client_id)
{
    if (inbox->dir_fd >= 0 && is_client_id(client_id)) unlinkat(inbox->dir_fd, client_id, 0);
}

/* ---- Sending ------------------------------------------------------------------- */

static int connect_line(const pawl__sqlite_inbox *inbox, pawl__post_line *line,
                        const char *client_id)
{
    struct sockaddr_un address;
    line->peer[0] = '\0';
    int to = find_socket(inbox, client_id, &address);
    if (to < 0) return -1;
    int rc = connect(line->fd, (struct sockaddr *)&address, sizeof(address));
    int number = errno;
    close(to);
    errno = number;
    if (rc == 0) memcpy(line->peer, client_id, sizeof(line->peer));
    return rc;
}

/* 0 or -1. What the kernel says of a connected socket is about this letter's receiver. */
static int send_letter(const pawl__post_line *line, const pawl__letter *letter)
{
    ssize_t n = send(line->fd, letter, letter_len(letter), MSG_NOSIGNAL);
    return n >= 0 ? 0 : -1;
}

static bool is_full(int number)
{
    return number == EAGAIN || number == EWOULDBLOCK || number == ENOBUFS;
}

/* The one that is connected to this client, or NULL. */
static pawl__post_line *line_to(pawl__sqlite_inbox *inbox, const char *client_id)
{
    for (size_t i = 0; i < PAWL__POST_LINES; i++)
        if (strcmp(inbox->lines[i].peer, client_id) == 0) return &inbox->lines[i];
    return NULL;
}

/* One for somebody else. The first is there always. */
static pawl__post_line *next_line(pawl__sqlite_inbox *inbox)
{
    pawl__post_line *line = &inbox->lines[inbox->turn++ % PAWL__POST_LINES];
    if (line->fd < 0) line->fd = new_socket();
    return line->fd >= 0 ? line : &inbox->lines[0];
}

/* Who waits behind us is mostly one of the same few, time after time: then it need not be found. */
static int send_to(pawl__sqlite_inbox *inbox, const char *client_id, const pawl__letter *letter)
{
    pawl__post_line *line = line_to(inbox, client_id);
    if (line) {
        if (send_letter(line, letter) == 0) return 0;
        if (is_full(errno)) return -1;
        /* It is gone, or has made another socket. */
    } else {
        line = next_line(inbox);
    }
    if (connect_line(inbox, line, client_id) < 0) return -1;
    if (send_letter(line, letter) == 0) return 0;
    if (!is_full(errno)) line->peer[0] = '\0';
    return -1;
}

pawl__post_result pawl__sqlite_inbox_post(pawl__sqlite_inbox *inbox, const char *client_id,
                                          const pawl__letter *letter)
{
    if (inbox->dir_fd < 0 || !is_client_id(client_id)) {
        errno = EINVAL;
        return PAWL__POST_FAILED;
    }
    if (send_to(inbox, client_id, letter) == 0) return PAWL__POST_SENT;
    if (is_full(errno)) return PAWL__POST_FULL;
    if (errno == ENOENT) return PAWL__POST_GONE;
    if (errno != ECONNREFUSED) return PAWL__POST_FAILED;
    unlinkat(inbox->dir_fd, client_id, 0);
    return PAWL__POST_GONE;
}

/*
 * A bound socket accepts a connection, one whose process is gone refuses it.
 * A socket that is bound this very moment refuses too, and is then removed by
 * mistake: its owner notices (pawl__sqlite_inbox_is_bound) and binds again.
 */
static void remove_if_stale(const pawl__sqlite_inbox *inbox, const char *name)
{
    struct sockaddr_un address;
    if (!is_client_id(name)) return;
    int to = find_socket(inbox, name, &address);
    if (to < 0) return;
    int fd = new_socket();
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
        errno == ECONNREFUSED) {
        unlinkat(inbox->dir_fd, name, 0);
    }
    if (fd >= 0) close(fd);
    close(to);
}

void pawl__sqlite_inbox_sweep(const pawl__sqlite_inbox *inbox)
{
    int fd = openat(inbox->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return;
    }
    const struct dirent *entry;
    for (int seen = 0; seen < PAWL__SWEEP_MAX && (entry = readdir(dir)); seen++) {
        remove_if_stale(inbox, entry->d_name);
    }
    closedir(dir);
}
