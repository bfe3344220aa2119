import { backup } from './backup.ts';
import { clock } from './clock.ts';
import { embedded } from './embedded.ts';
import { failover } from './failover.ts';
import { frozen } from './frozen.ts';
import { hostile } from './hostile.ts';
import { hosts } from './hosts.ts';
import { idle } from './idle.ts';
import { kill } from './kill.ts';
import type { Scenario } from './lib/scenario.ts';
import { migrations } from './migrations.ts';
import { order } from './order.ts';
import { partition } from './partition.ts';
import { patroni } from './patroni.ts';
import { connections, diskFull, readOnly } from './refusals.ts';
import { restart } from './restart.ts';
import { rolling } from './rolling.ts';
import { stop } from './stop.ts';
import { stuck } from './stuck.ts';
import { takeover } from './takeover.ts';
import { upgrade } from './upgrade.ts';

/** All of them, the most important first. */
export const scenarios: readonly Scenario[] = [
  kill,
  takeover,
  restart,
  frozen,
  order,
  partition,
  readOnly,
  connections,
  diskFull,
  clock,
  stuck,
  stop,
  hostile,
  failover,
  patroni,
  hosts,
  idle,
  backup,
  embedded,
  rolling,
  upgrade,
  migrations,
];
