import type { Command } from 'commander';
import { completionCommand } from './completion.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { eventTypesCommand } from './event-types.ts';
import { exportCommand } from './export.ts';
import { getCommand, retryCommand } from './get.ts';
import { homesCommand } from './homes.ts';
import { keysCommand } from './keys.ts';
import { listenCommand } from './listen.ts';
import { migrateCommand } from './migrate.ts';
import { sendCommand } from './send.ts';
import { statsCommand } from './stats.ts';
import { subscriptionsCommand } from './subscriptions.ts';
import { tailCommand } from './tail.ts';
import { cancelCommand, replayCommand } from './tasks.ts';
import { tenantsCommand } from './tenants.ts';
import { triggerCommand } from './trigger.ts';

/** The commands besides `start`, in the order in which the help lists them. */
export const createCommands = (): Command[] => [
  migrateCommand(),
  keysCommand(),
  exportCommand(),
  demoCommand(),
  sendCommand(),
  triggerCommand(),
  subscriptionsCommand(),
  getCommand(),
  retryCommand(),
  replayCommand(),
  cancelCommand(),
  statsCommand(),
  listenCommand(),
  tailCommand(),
  eventTypesCommand(),
  tenantsCommand(),
  homesCommand(),
  doctorCommand(),
  completionCommand(),
];
