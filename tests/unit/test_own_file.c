/* Checking a path before the server writes there: see core/base/own_file.h. */
#include "base/own_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit.h"

static char folder[64], path[128];

static void enter(void)
{
    snprintf(folder, sizeof(folder), "/tmp/pillion-own-file-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
}

static void leave(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
}

static void put(const void *data, size_t size)
{
    FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    fclose(file);
}

static void expect(enum own_file_use use, bool good)
{
    struct error error = {""};

    ck_assert_msg(own_file_check(path, use, &error) == good, "use %d: %s", use, error.text);
    if (!good)
        ck_assert_msg(strstr(error.text, path) != NULL, "the path is not in: %s", error.text);
}

START_TEST(a_free_path_is_good_for_every_use)
{
    enter();
    expect(OWN_FILE_LOG, true);
    expect(OWN_FILE_PID, true);
    expect(OWN_FILE_SOCKET, true);
    leave();
}
END_TEST

START_TEST(text_may_be_a_log_and_other_files_may_not)
{
    static const struct {
        const char *data;
        size_t size;
        bool good;
    } files[] = {
        {"", 0, true},
        {"2026-01-01T00:00:00 [notice] \033[1mcolours\033[0m\r\n", 46, true},
        {"{\"time\":\"\xc3\xa9\"}\n", 14, true},
        {"\0\0\0\0after a crash\n", 18, true},
        {"\x7f"
         "ELF\2\1\1\0\0\0\0\0",
         12, false},
        {"SQLite format 3\0\x10\0\1\1", 20, false},
        {"REDIS0009\xfa\x09redis-ver\x05", 21, false},
        {"#!/bin/sh\n", 10, false},
    };

    enter();
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        put(files[i].data, files[i].size);
        expect(OWN_FILE_LOG, files[i].good);
    }
    leave();
}
END_TEST

START_TEST(only_a_number_may_be_a_pid_file)
{
    enter();
    put("", 0);
    expect(OWN_FILE_PID, true);
    put("4711\n", 5);
    expect(OWN_FILE_PID, true);
    put("worker_processes 2;\n", 20);
    expect(OWN_FILE_PID, false);
    put("4711\0", 5);
    expect(OWN_FILE_PID, false);
    put("1111111111111111111111111111111111111", 37);
    expect(OWN_FILE_PID, false);
    unlink(path);
    ck_assert_int_eq(symlink("/etc/hostname", path), 0);
    expect(OWN_FILE_PID, false);
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    expect(OWN_FILE_PID, false);
    leave();
}
END_TEST

START_TEST(only_a_socket_may_make_room_for_one)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    enter();
    put("precious", 8);
    expect(OWN_FILE_SOCKET, false);
    unlink(path);
    ck_assert_int_eq(symlink("/etc/hostname", path), 0);
    expect(OWN_FILE_SOCKET, false);
    unlink(path);
    strcpy(address.sun_path, path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    expect(OWN_FILE_SOCKET, true);
    expect(OWN_FILE_LOG, false);
    expect(OWN_FILE_PID, false);
    close(fd);
    leave();
}
END_TEST

START_TEST(only_ones_own_file_is_removed)
{
    enter();
    ck_assert(!file_id_same(file_id_of(path), file_id_of(path)));
    put("1", 1);
    struct file_id own = file_id_of(path);
    char other[160];
    snprintf(other, sizeof(other), "%s.other", path);
    ck_assert_int_eq(rename(path, other), 0);
    put("2", 1);
    own_file_remove(path, own);
    ck_assert_int_eq(access(path, F_OK), 0);
    own_file_remove(path, (struct file_id){0});
    ck_assert_int_eq(access(path, F_OK), 0);
    own_file_remove(other, own);
    ck_assert_int_ne(access(other, F_OK), 0);
    leave();
}
END_TEST

UNIT_MAIN("own_file", a_free_path_is_good_for_every_use, text_may_be_a_log_and_other_files_may_not,
          only_a_number_may_be_a_pid_file, only_a_socket_may_make_room_for_one,
          only_ones_own_file_is_removed)
