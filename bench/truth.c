/* What bench/truth.py asks: a program that costs what it is told to and writes down what it cost by its own clocks.
 *
 *   truth stage FOLDER PROGRAM ...   runs a program in the cgroup whose list of processes FOLDER/group names, if it does,
 *                                    and adds its beginning and end to FOLDER/began and FOLDER/ended
 *   truth burn FOLDER WORD ...       does one word after the other; every process keeps its line in FOLDER/processes:
 *
 *   cpu S          uses the processor for S seconds       threads N S   the same in N threads
 *   mem MB         takes memory, and keeps it             hold S        sleeps
 *   write F MB     writes a file and syncs it             touch F       makes a file
 *   until F        waits for a file                       wait          waits for its children
 *   child … end    a child does it                        session … end a child in a session of its own does it
 *   daemon … end   forks twice, so that nobody's child    ignore        asks for no news of children
 *   exec P A …     becomes another program                exit N        ends
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 128, LINES = 1024 };

static char *lines; /* shared by all processes of the folder; each writes its own line, whole, as often as it likes */
static int mine;
static double scale = 1; /* of seconds: counting what happens needs no time */
static const char *folder;

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void nap(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&t, &t) < 0 && errno == EINTR) {}
}

static const char *in_folder(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void add_line(const char *name, const char *text) {
    int file = open(in_folder(name), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || write(file, text, strlen(text)) < 0) perror(name);
    close(file);
}

/* A number of kB or bytes from a file of /proc/self, 0 where it is not told. */
static long told(const char *file, const char *key) {
    char line[256];
    long value = 0;
    FILE *from = fopen(file, "re");
    while (from && fgets(line, sizeof line, from))
        if (!strncmp(line, key, strlen(key))) value = atol(line + strlen(key));
    if (from) fclose(from);
    return value;
}

/* pid, CPU seconds, peak and present memory in kB, bytes written to storage, and the moment of this line. */
static void note(void) {
    char text[LINE];
    int length = snprintf(text, sizeof text, "%d %.6f %ld %ld %ld %.6f", getpid(), now(CLOCK_PROCESS_CPUTIME_ID),
             told("/proc/self/status", "VmHWM:"), told("/proc/self/status", "VmRSS:"),
             told("/proc/self/io", "write_bytes:"), now(CLOCK_MONOTONIC));
    memset(text + length, ' ', (size_t)(LINE - length));
    text[LINE - 1] = '\n';
    memcpy(lines + mine * LINE, text, LINE);
}

static void new_line(void) {
    mine = 1 + __atomic_fetch_add((int *)(void *)lines, 1, __ATOMIC_SEQ_CST) % (LINES - 1);
    note();
}

static void open_lines(void) {
    int file = open(in_folder("processes"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || ftruncate(file, LINE * LINES) < 0) { perror("processes"); exit(120); }
    lines = mmap(NULL, LINE * LINES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
}

static void burn(double seconds, clockid_t clock) {
    double end = now(clock) + seconds * scale, next = 0;
    while (now(clock) < end)
        if (clock == CLOCK_PROCESS_CPUTIME_ID && now(clock) >= next) { note(); next = now(clock) + 0.02; }
}

static void *burn_thread(void *seconds) {
    burn(*(double *)seconds, CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static void threads(int count, double seconds) {
    pthread_t all[64];
    for (int i = 0; i < count && i < 64; i++) pthread_create(&all[i], NULL, burn_thread, &seconds);
    for (int i = 0; i < count && i < 64; i++) pthread_join(all[i], NULL);
}

static void take(long megabytes) {
    char *memory = malloc((size_t)megabytes << 20);
    for (long i = 0; i < megabytes << 20; i += 4096) ((volatile char *)memory)[i] = 1;
}

static void write_file(const char *path, long megabytes) {
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    for (long i = 0; i < megabytes; i++)
        if (write(file, block, sizeof block) < 0) perror(path);
    fsync(file);
    close(file);
}

static void finish(int code) {
    note();
    _exit(code);
}

static char **skip(char **word) { /* to behind the matching end */
    for (int depth = 1; *word && depth; word++)
        depth += !strcmp(*word, "end") ? -1 : !strcmp(*word, "child") || !strcmp(*word, "session") || !strcmp(*word, "daemon");
    return word;
}

static void perform(char **word);

static char **apart(char **word, int session, int twice) {
    pid_t child = fork();
    if (child == 0) {
        if (session || twice) setsid();
        if (twice && fork()) _exit(0);
        new_line();
        perform(word);
        finish(0);
    }
    if (twice) waitpid(child, NULL, 0);
    return skip(word);
}

static void perform(char **word) {
    struct stat there;
    while (*word && strcmp(*word, "end")) {
        const char *what = *word++;
        if (!strcmp(what, "cpu")) burn(atof(*word++), CLOCK_PROCESS_CPUTIME_ID);
        else if (!strcmp(what, "threads")) { threads(atoi(word[0]), atof(word[1])); word += 2; }
        else if (!strcmp(what, "mem")) take(atol(*word++));
        else if (!strcmp(what, "hold")) nap(atof(*word++) * scale);
        else if (!strcmp(what, "write")) { write_file(word[0], atol(word[1])); word += 2; }
        else if (!strcmp(what, "touch")) close(open(*word++, O_WRONLY | O_CREAT, 0644));
        else if (!strcmp(what, "until")) { while (stat(*word, &there)) nap(0.002); word++; }
        else if (!strcmp(what, "wait")) while (wait(NULL) > 0 || errno == EINTR) {}
        else if (!strcmp(what, "child")) word = apart(word, 0, 0);
        else if (!strcmp(what, "session")) word = apart(word, 1, 0);
        else if (!strcmp(what, "daemon")) word = apart(word, 1, 1);
        else if (!strcmp(what, "ignore")) signal(SIGCHLD, SIG_IGN);
        else if (!strcmp(what, "exec")) { note(); execvp(word[0], word); perror(word[0]); finish(127); }
        else if (!strcmp(what, "exit")) finish(atoi(*word));
        else { fprintf(stderr, "truth: no such word: %s\n", what); finish(120); }
        note();
    }
}

/* Moves into the cgroup that FOLDER/group names, if there is one. */
static void join_group(void) {
    char path[4096];
    int file = open(in_folder("group"), O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, path, sizeof path - 1);
    close(file);
    if (length <= 0) return;
    path[length] = 0;
    file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, "0", 1) < 0) perror(path);
    close(file);
}

static void nothing(int number) { (void)number; }

static int stage(char **program) {
    char text[256];
    double began = now(CLOCK_MONOTONIC); /* before moving, which waits for the whole machine */
    join_group();
    snprintf(text, sizeof text, "%d %.6f\n", getpid(), began);
    add_line("began", text);
    struct sigaction noted = {.sa_handler = nothing};
    sigaction(SIGTERM, &noted, NULL); /* the program was told as well, and its end is waited for */
    pid_t child = fork();
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        execvp(program[0], program);
        perror(program[0]);
        _exit(127);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    struct rusage spent;
    getrusage(RUSAGE_CHILDREN, &spent);
    snprintf(text, sizeof text, "%d %.6f %ld.%06ld %ld.%06ld\n", getpid(), now(CLOCK_MONOTONIC),
             spent.ru_utime.tv_sec, spent.ru_utime.tv_usec, spent.ru_stime.tv_sec, spent.ru_stime.tv_usec);
    add_line("ended", text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int count, char **word) {
    if (count < 4) return 120;
    folder = word[2];
    if (!strcmp(word[1], "stage")) return stage(word + 3);
    if (!access(in_folder("quick"), F_OK)) scale = 0.05;
    open_lines();
    new_line();
    perform(word + 3);
    note();
    return 0;
}
