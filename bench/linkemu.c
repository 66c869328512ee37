/* linkemu - user-space link emulator (rate + delay + jitter-free + random/bursty loss) between two network namespaces.
 * Needs only TUN + netns (no netem). IPv4/IPv6, MTU 1500.
 * build: gcc -O2 -o linkemu linkemu.c
 * run:   ./linkemu NS_A NS_B rate_mbit one_way_delay_ms loss_pct [queue_ms=100] [burst_mean=1] [mtu=1500] [loss_dir=both|ab|ba]
 *        creates tun "lemu0" in NS_A (10.99.0.1/30) and in NS_B (10.99.0.2/30). Runs until SIGINT/SIGTERM; prints counters.
 *        SIGUSR1: rate to a tenth and back; SIGUSR2: print and reset the counters and queue delays.
 * Loss is applied before the shaper; queue is drop-tail of queue_ms at the given rate; each direction is independent. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <fcntl.h>
#include <unistd.h>
#include <errno.h>
#include <sched.h>
#include <poll.h>
#include <time.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <net/if.h>
#include <linux/if_tun.h>
static volatile int stop,drop,pr; static void on(int s){if(s==SIGUSR1)drop=!drop;else if(s==SIGUSR2)pr=1;else stop=1;}
static uint64_t now(){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec*1000000000ull+t.tv_nsec;}
static uint64_t s[2]={0x9E3779B97F4A7C15ull,0xD1B54A32D192ED03ull};
static uint64_t rnd(){uint64_t a=s[0],b=s[1];s[0]=b;a^=a<<23;s[1]=a^b^(a>>17)^(b>>26);return s[1]+b;}
static double frnd(){return (rnd()>>11)*(1.0/9007199254740992.0);}
static int tun(const char*ns,const char*ip,int mtu){
  char p[256],c[512];snprintf(p,256,"/var/run/netns/%s",ns);int n=open(p,O_RDONLY);if(n<0||setns(n,CLONE_NEWNET)){perror(p);exit(1);}close(n);
  int fd=open("/dev/net/tun",O_RDWR|O_NONBLOCK);struct ifreq r;memset(&r,0,sizeof r);strcpy(r.ifr_name,"lemu0");r.ifr_flags=IFF_TUN|IFF_NO_PI;
  if(fd<0||ioctl(fd,TUNSETIFF,&r)){perror("tun");exit(1);}
  snprintf(c,512,"ip addr add %s/30 dev lemu0; ip link set lemu0 mtu %d txqueuelen 10000 up; ip link set lo up",ip,mtu);if(system(c))exit(1);return fd;}
typedef struct{uint64_t due;int len;unsigned char d[2048];}pkt;
typedef struct{int in,out,pd;pkt*q;uint32_t h,t,cap;uint64_t freeat;double loss;int burst_left;uint64_t n,lost,ovf,b,qn;double qs,qm;}dir;
int main(int c,char**v){
  if(c<6){fprintf(stderr,"usage: linkemu NSA NSB mbit owd_ms loss%% [queue_ms] [burst_mean] [mtu] [both|ab|ba]\n");return 1;}
  double rate=atof(v[3])*1e6/8,owd=atof(v[4])*1e6,loss=atof(v[5])/100;double qms=c>6?atof(v[6]):100;double burst=c>7?atof(v[7]):1;int mtu=c>8?atoi(v[8]):1500;const char*ld=c>9?v[9]:"both";
  int fa=tun(v[1],"10.99.0.1",mtu),fb=tun(v[2],"10.99.0.2",mtu);signal(SIGINT,on);signal(SIGUSR1,on);signal(SIGUSR2,on);signal(SIGTERM,on);
  dir d[2];memset(d,0,sizeof d);for(int i=0;i<2;i++){d[i].cap=1<<17;d[i].q=malloc(sizeof(pkt)*(size_t)d[i].cap);d[i].in=i?fb:fa;d[i].out=i?fa:fb;d[i].loss=(!strcmp(ld,"both")||(!strcmp(ld,"ab")&&!i)||(!strcmp(ld,"ba")&&i))?loss:0;}
  s[0]^=now();prctl(PR_SET_TIMERSLACK,1000ul,0,0,0);/* sleeps are exact, so there is no need to spin: a real-time task that spins is throttled */
  struct pollfd pf[2]={{fa,POLLIN,0},{fb,POLLIN,0}};printf("up\n");fflush(stdout);
#define REP for(int i=0;i<2;i++)fprintf(stderr,"%s pkts=%lu MB=%.1f randloss=%lu qdrop=%lu qmean=%.1fms qmax=%.1fms\n",i?"B->A":"A->B",d[i].n,d[i].b/1e6,d[i].lost,d[i].ovf,d[i].qn?d[i].qs/d[i].qn:0,d[i].qm)
  while(!stop){if(pr){pr=0;REP;for(int i=0;i<2;i++){d[i].n=d[i].b=d[i].lost=d[i].ovf=d[i].qn=0;d[i].qs=d[i].qm=0;}}uint64_t t=now(),next=t+20000000ull;
    for(int i=0;i<2;i++){dir*D=&d[i];
      for(int k=0;k<64;k++){ if(D->t-D->h>=D->cap)break; pkt*P=&D->q[D->t%D->cap];int n=read(D->in,P->d,2048);if(n<=0)break;D->n++;
        if(D->burst_left>0){D->burst_left--;D->lost++;continue;}
        if(D->loss>0&&frnd()<D->loss/burst){D->lost++;if(burst>1){while(frnd()<1-1/burst)D->burst_left++;}continue;}
        uint64_t f=D->freeat>t?D->freeat:t; double rt=drop?rate/10:rate; if(drop!=D->pd){ if(D->freeat>t){D->freeat=t+(uint64_t)((D->freeat-t)*(drop?10:0.1));f=D->freeat;} D->pd=drop; } {double qd=(f-t)/1e6;D->qs+=qd;D->qn++;if(qd>D->qm)D->qm=qd;} if(f-t>qms*1e6){D->ovf++;continue;}
        f+=(uint64_t)((n+38)/rt*1e9);D->freeat=f;P->due=f+owd;P->len=n;D->t++;D->b+=n;}
      t=now();
      while(D->h!=D->t&&D->q[D->h%D->cap].due<=t){pkt*P=&D->q[D->h%D->cap];if(write(D->out,P->d,P->len)<0&&errno==EAGAIN)break;D->h++;}
      if(D->h!=D->t&&D->q[D->h%D->cap].due<next)next=D->q[D->h%D->cap].due;}
    t=now();if(next>t){struct timespec ts={0,next-t};ppoll(pf,2,&ts,0);}}
  REP;
}
