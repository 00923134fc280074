/* A camera for tests: loaded before the C library (LD_PRELOAD), it answers Video4Linux's ioctls on files video0,
 * video1, ... in the folder $STAND_IN, as a webcam's driver does. What it does is read, before every answer, from the
 * file `state` there: "ok", "busy" (another program has it), "gone" (unplugged), "stalled" (no pictures come).
 * It gives MJPG 640x480 and 1280x720 and YUYV 640x480, 30 a second; a JPEG picture is the file `picture.jpg`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BUFFERS 8
#define SIZE (1280 * 720 * 2)
#define PERIOD 33333333LL

static struct { int width, height; unsigned format; void *buffer[BUFFERS]; int queue[BUFFERS], queued; unsigned sequence; long long next; } own;
static char fake[1024];

static long long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
static void pause_for(long long ns) { struct timespec t = {ns / 1000000000LL, ns % 1000000000LL}; if (ns > 0) nanosleep(&t, NULL); }

static int real_open(const char *path, int flags, int mode) {
    static int (*next)(const char *, int, ...);
    if (!next) next = dlsym(RTLD_NEXT, "open");
    return next(path, flags, mode);
}

static int is_state(const char *wanted) {
    char path[512], text[32] = "";
    snprintf(path, sizeof path, "%s/state", getenv("STAND_IN"));
    int fd = real_open(path, O_RDONLY, 0);
    if (fd >= 0) { ssize_t got = read(fd, text, sizeof text - 1); text[got > 0 ? got : 0] = 0; close(fd); }
    return !strncmp(text, wanted, strlen(wanted));
}

static int opened(const char *path, int flags, int mode) {
    const char *folder = getenv("STAND_IN");
    int fd = real_open(path, flags, mode);
    if (fd >= 0 && fd < (int)sizeof fake) {
        size_t length = folder ? strlen(folder) : 0;
        fake[fd] = folder && !strncmp(path, folder, length) && !strncmp(path + length, "/video", 6);
    }
    return fd;
}

int open(const char *path, int flags, ...) { va_list a; va_start(a, flags); int mode = va_arg(a, int); va_end(a); return opened(path, flags, mode); }
int open64(const char *path, int flags, ...) { va_list a; va_start(a, flags); int mode = va_arg(a, int); va_end(a); return opened(path, flags, mode); }

static void *mapped(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    static void *(*next)(void *, size_t, int, int, int, off_t);
    if (!next) next = dlsym(RTLD_NEXT, "mmap");
    if (fd >= 0 && fd < (int)sizeof fake && fake[fd])
        return own.buffer[offset / SIZE] = next(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return next(at, length, protection, flags, fd, offset);
}
void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) { return mapped(at, length, protection, flags, fd, offset); }
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset) { return mapped(at, length, protection, flags, fd, offset); }

static int failed(int error) { errno = error; return -1; }

static int formatted(struct v4l2_format *f, int set) {
    if (f->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return failed(EINVAL);
    if (set) {
        int raw = f->fmt.pix.pixelformat == V4L2_PIX_FMT_YUYV, large = f->fmt.pix.width > 900 && !raw;
        own.format = raw ? V4L2_PIX_FMT_YUYV : V4L2_PIX_FMT_MJPEG; /* as drivers do, it takes the nearest that it has */
        own.width = large ? 1280 : 640; own.height = large ? 720 : 480;
    }
    f->fmt.pix.width = own.width; f->fmt.pix.height = own.height; f->fmt.pix.pixelformat = own.format;
    f->fmt.pix.field = V4L2_FIELD_NONE; f->fmt.pix.sizeimage = SIZE; f->fmt.pix.bytesperline = own.width * 2;
    return 0;
}

static int taken(struct v4l2_buffer *b) {
    while (is_state("stalled")) pause_for(10000000);
    if (is_state("gone")) return failed(ENODEV);
    if (!own.queued) return failed(EAGAIN);
    if (own.next < now() - 8 * PERIOD) own.next = now();
    pause_for(own.next - now());
    int index = own.queue[0];
    memmove(own.queue, own.queue + 1, --own.queued * sizeof(int));
    memset(b, 0, sizeof *b);
    b->index = index; b->type = V4L2_BUF_TYPE_VIDEO_CAPTURE; b->memory = V4L2_MEMORY_MMAP; b->length = SIZE;
    b->sequence = own.sequence++; b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | V4L2_BUF_FLAG_DONE;
    b->timestamp.tv_sec = own.next / 1000000000LL; b->timestamp.tv_usec = own.next % 1000000000LL / 1000;
    own.next += PERIOD;
    if (own.format == V4L2_PIX_FMT_YUYV) {
        b->bytesused = own.width * own.height * 2;
        memset(own.buffer[index], 128, b->bytesused); /* grey */
    } else {
        char path[512];
        snprintf(path, sizeof path, "%s/picture.jpg", getenv("STAND_IN"));
        int fd = real_open(path, O_RDONLY, 0);
        ssize_t got = fd < 0 ? 0 : read(fd, own.buffer[index], SIZE);
        if (fd >= 0) close(fd);
        b->bytesused = got > 0 ? got : 0;
    }
    pause_for(5000000); /* what a transfer over USB takes */
    return 0;
}

static int answered(unsigned long request, void *data) {
    static const struct { unsigned format; int width, height; } modes[] = {
        {V4L2_PIX_FMT_YUYV, 640, 480}, {V4L2_PIX_FMT_MJPEG, 640, 480}, {V4L2_PIX_FMT_MJPEG, 1280, 720}};
    if (is_state("gone")) return failed(ENODEV);
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *c = data;
        memset(c, 0, sizeof *c);
        strcpy((char *)c->driver, "standin"); strcpy((char *)c->card, "Stand-in Camera"); strcpy((char *)c->bus_info, "usb-1");
        c->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING; c->capabilities = c->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *f = data;
        if (f->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || f->index > 1) return failed(EINVAL);
        f->pixelformat = f->index ? V4L2_PIX_FMT_MJPEG : V4L2_PIX_FMT_YUYV;
        return 0;
    }
    case VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *s = data;
        unsigned seen = 0;
        for (int i = 0; i < 3; i++)
            if (modes[i].format == s->pixel_format && seen++ == s->index) {
                s->type = V4L2_FRMSIZE_TYPE_DISCRETE; s->discrete.width = modes[i].width; s->discrete.height = modes[i].height;
                return 0;
            }
        return failed(EINVAL);
    }
    case VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *i = data;
        if (i->index) return failed(EINVAL);
        i->type = V4L2_FRMIVAL_TYPE_DISCRETE; i->discrete.numerator = 1; i->discrete.denominator = 30;
        return 0;
    }
    case VIDIOC_G_INPUT: *(int *)data = 0; return 0;
    case VIDIOC_S_INPUT: return 0;
    case VIDIOC_ENUMINPUT: {
        struct v4l2_input *i = data;
        if (i->index) return failed(EINVAL);
        memset(i, 0, sizeof *i); i->type = V4L2_INPUT_TYPE_CAMERA;
        return 0;
    }
    case VIDIOC_G_FMT: return formatted(data, 0);
    case VIDIOC_S_FMT: return is_state("busy") ? failed(EBUSY) : formatted(data, 1);
    case VIDIOC_G_PARM: case VIDIOC_S_PARM: {
        struct v4l2_streamparm *p = data;
        p->parm.capture.capability = V4L2_CAP_TIMEPERFRAME; p->parm.capture.timeperframe.numerator = 1; p->parm.capture.timeperframe.denominator = 30;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *r = data;
        if (r->count > BUFFERS) r->count = BUFFERS;
        own.queued = 0;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *b = data;
        b->length = SIZE; b->m.offset = b->index * SIZE;
        return 0;
    }
    case VIDIOC_QBUF: own.queue[own.queued++] = ((struct v4l2_buffer *)data)->index; return 0;
    case VIDIOC_DQBUF: return taken(data);
    case VIDIOC_STREAMON: own.next = now(); return 0;
    case VIDIOC_STREAMOFF: own.queued = 0; return 0;
    }
    return failed(ENOTTY);
}

int ioctl(int fd, unsigned long request, ...) {
    static int (*next)(int, unsigned long, void *);
    va_list a; va_start(a, request); void *data = va_arg(a, void *); va_end(a);
    if (fd >= 0 && fd < (int)sizeof fake && fake[fd]) return answered(request, data);
    if (!next) next = dlsym(RTLD_NEXT, "ioctl");
    return next(fd, request, data);
}
