/** How commands end, so that scripts can tell why. */
export const EXIT = {
  /** The service or the command failed, or a setting is wrong. */
  failed: 1,
  /** The command line or a profile is wrong. */
  usage: 2,
  /** What was asked for is not there. */
  notFound: 3,
  /** The service refused: the key, its scope, or what was asked. */
  refused: 4,
  /** No Posthorn answers at the URL. */
  notReachable: 5,
} as const;

/** Returns the exit code for an answer that is an error. */
export function exitCodeOf(status: number): number {
  if (status === 404) return EXIT.notFound;
  return status < 500 ? EXIT.refused : EXIT.failed;
}
