/* The ceiling of an upload: receive a body, digest it or not, answer. No file, no log, no other protocol than what the
 * suite's client speaks: one request at a time, with a Content-Length.
 *
 * receive PORT drop|digest
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artifact_hash.h"

#define BUFFER_BYTES (256 * 1024) /* what stays in the second-level cache between receiving and digesting */

static int digesting;

/* The length that a whole head announces; 0 if it announces none. */
static unsigned long long content_length(const char *head)
{
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, "content-length:", 15) == 0)
            return strtoull(line + 17, NULL, 10);
    return 0;
}

/* One request of a connection: 1, or 0 when the client has gone. */
static int answer_one(int connection, uint8_t *buffer)
{
    static const char answer[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
    uint8_t blake3[32], sha256[32];
    size_t held = 0;
    char *end = NULL;
    ah_state state;

    while (end == NULL) {
        ssize_t got = recv(connection, buffer + held, BUFFER_BYTES - 1 - held, 0);
        if (got <= 0)
            return 0;
        held += (size_t)got;
        buffer[held] = 0;
        end = strstr((char *)buffer, "\r\n\r\n");
    }
    unsigned long long left = content_length((char *)buffer);
    size_t head = (size_t)(end + 4 - (char *)buffer);
    ah_init(&state, AH_BOTH);
    if (digesting)
        ah_update(&state, buffer + head, held - head, NULL);
    left -= held - head;
    while (left > 0) {
        size_t wanted = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
        ssize_t got = recv(connection, buffer, wanted, digesting ? MSG_WAITALL : 0);
        if (got <= 0)
            return 0;
        if (digesting)
            ah_update(&state, buffer, (size_t)got, NULL);
        left -= (unsigned long long)got;
    }
    ah_digests(&state, blake3, sha256);
    return send(connection, answer, sizeof answer - 1, MSG_NOSIGNAL) > 0;
}

static void *serve(void *argument)
{
    int connection = (int)(intptr_t)argument;
    uint8_t *buffer = malloc(BUFFER_BYTES);

    while (buffer != NULL && answer_one(connection, buffer))
        continue;
    free(buffer);
    close(connection);
    return NULL;
}

int main(int count, char **arguments)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

    if (count != 3) {
        fprintf(stderr, "usage: receive PORT drop|digest\n");
        return 2;
    }
    address.sin_port = htons((uint16_t)atoi(arguments[1]));
    digesting = strcmp(arguments[2], "digest") == 0;
    if (ah_select(NULL) != AH_OK || listener < 0)
        return 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 128) != 0) {
        perror("receive");
        return 1;
    }
    for (;;) {
        pthread_t thread;
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            continue;
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)connection) == 0)
            pthread_detach(thread);
        else
            close(connection);
    }
}
