import type { ComponentType } from 'preact';
import { Overview } from './screens/overview/overview.tsx';
import { EditSubscription, NewSubscription } from './screens/subscriptions/edit.tsx';
import { Subscriptions } from './screens/subscriptions/list.tsx';
import { Subscription } from './screens/subscriptions/subscription.tsx';
import { Webhook } from './screens/webhook/webhook.tsx';
import { Webhooks } from './screens/webhooks/webhooks.tsx';

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

/** All screens, in the order of the navigation. README.md says how to add one. */
export const SCREENS: readonly Screen[] = [
  { path: '', title: 'Overview', component: Overview, nav: 'watch', scope: 'read' },
  { path: 'webhooks', title: 'Webhooks', component: Webhooks, nav: 'watch', scope: 'read' },
  { path: 'webhooks/:webhook_id', title: 'Webhook', component: Webhook, scope: 'read' },
  {
    path: 'subscriptions',
    title: 'Subscriptions',
    component: Subscriptions,
    nav: 'set up',
    scope: 'read',
  },
  {
    path: 'subscriptions/new',
    title: 'New subscription',
    component: NewSubscription,
    scope: 'manage',
  },
  {
    path: 'subscriptions/:subscription_id',
    title: 'Subscription',
    component: Subscription,
    scope: 'read',
  },
  {
    path: 'subscriptions/:subscription_id/edit',
    title: 'Edit subscription',
    component: EditSubscription,
    scope: 'manage',
  },
];
