import { type Results, type Summary, summarise } from '../report/results.ts';

/** A cost that a webhook has once, and one that each of its deliveries has. */
export interface Cost {
  readonly perWebhook: number;
  readonly perDelivery: number;
}

/** What webhooks cost on the machine of a measured run, with bodies of 490 bytes. */
export interface Costs {
  /** Seconds of CPU at full load, when about thirty webhooks share a transaction. */
  readonly serviceCpu: Cost;
  readonly postgresCpu: Cost;
  readonly walBytes: Cost;
  /** Further seconds of CPU, of service and Postgres together, for each byte of a body that is sent once. */
  readonly bodyByteCpu: number;
}

/** The size of the bodies of all scenarios but `big bodies`. */
export const BODY_BYTES = 490;
const BIG_BODY_BYTES = 256 * 1024;
/** The sides of the scenarios that the fit uses, all sent by event type, and the deliveries of each webhook. */
export const FITTED: readonly (readonly [scenario: string, side: string, deliveries: number])[] = [
  ['sending', 'by type', 1],
  ['fan-out', 'to 10 subscriptions', 10],
  ['fan-out', 'to 100 subscriptions', 100],
];

/** Fits the costs to a run of the benchmark. */
export function fitCosts({ measurements }: Results): Costs {
  const summaries = summarise(measurements);
  const find = (scenario: string, side: string) => findSummary(summaries, scenario, side);
  const fit = (pick: (summary: Summary) => number | null) =>
    fitCost(
      FITTED.map(([scenario, side, deliveries]) => ({
        deliveries,
        // The figures of fan-out are for a delivery.
        perDelivery: required(pick(find(scenario, side))),
      })),
    );
  const serviceCpu = fit(({ serviceCpu }) => perOne(serviceCpu));
  const postgresCpu = fit(({ postgresCpu }) => perOne(postgresCpu));
  const atFullLoad = cpuOf(find('whole path', 'posthorn'));
  const big = cpuOf(find('big bodies', 'posthorn'));
  return {
    serviceCpu,
    postgresCpu,
    walBytes: fit(({ walBytes }) => walBytes),
    bodyByteCpu: (big - atFullLoad) / (BIG_BODY_BYTES - BODY_BYTES),
  };
}

/**
 * Fits `perWebhook / deliveries + perDelivery` by least squares of the relative errors, so that no scenario counts more
 * than another because its figures are larger.
 */
export function fitCost(
  points: readonly { readonly deliveries: number; readonly perDelivery: number }[],
): Cost {
  let [xx, xy, yy, xz, yz] = [0, 0, 0, 0, 0];
  for (const { deliveries, perDelivery } of points) {
    const x = 1 / deliveries / perDelivery;
    const y = 1 / perDelivery;
    xx += x * x;
    xy += x * y;
    yy += y * y;
    xz += x;
    yz += y;
  }
  const determinant = xx * yy - xy * xy;
  return {
    perWebhook: (xz * yy - yz * xy) / determinant,
    perDelivery: (yz * xx - xz * xy) / determinant,
  };
}

export function findSummary(
  summaries: readonly Summary[],
  scenario: string,
  side: string,
): Summary {
  const found = summaries.find((one) => one.scenario === scenario && one.side === side);
  if (found === undefined) throw new Error(`the run has no ${scenario}, ${side}`);
  return found;
}

const perOne = (perThousand: number | null) => (perThousand === null ? null : perThousand / 1_000);

function cpuOf({ serviceCpu, postgresCpu }: Summary): number {
  return (required(serviceCpu) + required(postgresCpu)) / 1_000;
}

function required(value: number | null): number {
  if (value === null) throw new Error('the run did not measure it');
  return value;
}
