import type { ComponentType } from 'preact';

export interface Screen {
  /** Under /dashboard/, such as `webhooks/:webhook_id`; empty: the first screen. */
  readonly path: string;
  /** The title of the page and, with `nav`, the word in the navigation. */
  readonly title: string;
  readonly component: ComponentType;
  /** The group in the navigation. Left out: it is reached from another screen. */
  readonly nav?: 'watch' | 'set up' | 'service';
  /** The scope that its first request needs; others do not see it in the navigation. */
  readonly scope: 'read' | 'manage' | 'admin';
}

/** All screens, in the order of the navigation. src/dashboard/README.md says how to add one. */
export const SCREENS: readonly Screen[] = [];
