/* A guest's mouth and ear for whole frames, whatever it would say or hear by itself.
 *
 *   frames send NIC HEX...     send each frame as it is
 *   frames hear NIC MARK       print what follows MARK in each frame that has it, a line of hex each, for ever
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAIL 2

static int unhex(const char *text, unsigned char *bytes)
{
    int length = 0;
    while (sscanf(text + 2 * length, "%2hhx", &bytes[length]) == 1)
        length++;
    return length;
}

int main(int argc, char **argv)
{
    unsigned char frame[2048], mark[16];
    struct sockaddr_ll place = {.sll_family = AF_PACKET, .sll_protocol = htons(3 /* ETH_P_ALL */)};
    int wire = socket(AF_PACKET, SOCK_RAW, htons(3));
    if (argc < 4 || wire < 0)
        return 2;
    place.sll_ifindex = if_nametoindex(argv[2]);
    if (bind(wire, (struct sockaddr *)&place, sizeof place))
        return 3;
    if (!strcmp(argv[1], "send")) {
        for (int i = 3; i < argc; i++) {
            int length = unhex(argv[i], frame);
            if (send(wire, frame, length, 0) != length)
                return 4;
        }
        return 0;
    }
    /* Also those to others: what the host lets through is the question, not what this guest would take. */
    struct packet_mreq all = {.mr_ifindex = place.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    setsockopt(wire, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all);
    int length = unhex(argv[3], mark);
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        struct sockaddr_ll from;
        socklen_t size = sizeof from;
        int got = recvfrom(wire, frame, sizeof frame, 0, (struct sockaddr *)&from, &size);
        if (from.sll_pkttype == PACKET_OUTGOING)
            continue;
        for (int at = 0; at + length + TAIL <= got; at++)
            if (!memcmp(frame + at, mark, length)) {
                printf("%02x%02x\n", frame[at + length], frame[at + length + 1]);
                fflush(stdout);
                break;
            }
    }
}
