/** The settings of a Posthorn that shares tenants with others. */
export interface PlacementSettings {
  /** The database that has the directory. */
  readonly directoryUrl: string;
  /** The name of this home. */
  readonly home: string;
}

/** Returns where the directory is; undefined: all tenants live here. `problems` gets what is wrong. */
export function placementSettings(
  directoryUrl: string | undefined,
  home: string | undefined,
  problems: string[],
): PlacementSettings | undefined {
  if (directoryUrl === undefined && home === undefined) return undefined;
  if (directoryUrl !== undefined && home !== undefined) return { directoryUrl, home };
  problems.push(
    home === undefined
      ? 'POSTHORN_DIRECTORY_URL needs POSTHORN_HOME, the name that this Posthorn has in the directory'
      : 'POSTHORN_HOME is set without POSTHORN_DIRECTORY_URL; set the database that has the directory too, or remove it',
  );
  return undefined;
}
