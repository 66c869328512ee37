/**
 * The share of packets that a path loses anyway, learned while its queue is short, and when a round lost more than that.
 * Loss that is usual says nothing about how fast one may send; loss beyond it does.
 */

const LOSS_WEIGHT = 0.15;
const LOSS_BASE_MAX = 0.15;
/** Losses by congestion: this many deviations above the usual. */
const LOSS_DEVIATIONS = 4;

export interface UsualLoss {
  readonly share: number;
  /** What a round lost beyond it. */
  excess(lost: number): number;
  /** Whether `excess` in a round of `sent` packets is more than chance. */
  isUnusual(excess: number, sent: number): boolean;
  /** Of a round with a short queue. */
  learn(excess: number): void;
}

export function usualLoss(): UsualLoss {
  let [share, deviation] = [0, 0];
  return {
    get share() {
      return share;
    },
    excess: (lost) => lost - share,
    isUnusual(excess, sent) {
      const binomial = Math.sqrt((share * (1 - share)) / sent);
      return excess > LOSS_DEVIATIONS * Math.max(deviation, binomial) + 0.5 / sent;
    },
    learn(excess) {
      deviation += LOSS_WEIGHT * (Math.abs(excess) - deviation);
      share = Math.min(LOSS_BASE_MAX, Math.max(0, share + LOSS_WEIGHT * excess));
    },
  };
}
