import type { ComponentType } from 'preact';
import { EditEventType, NewEventType } from './screens/event-types/edit.tsx';
import { EventType } from './screens/event-types/event-type.tsx';
import { EventTypes } from './screens/event-types/list.tsx';
import { Keys } from './screens/keys/keys.tsx';
import { NewOperation } from './screens/operations/new-operation.tsx';
import { Operation } from './screens/operations/operation.tsx';
import { Operations } from './screens/operations/operations.tsx';
import { Overview } from './screens/overview/overview.tsx';
import { Problems } from './screens/problems/problems.tsx';
import { Settings } from './screens/settings/settings.tsx';
import { EditSubscription, NewSubscription } from './screens/subscriptions/edit.tsx';
import { Subscriptions } from './screens/subscriptions/list.tsx';
import { Subscription } from './screens/subscriptions/subscription.tsx';
import { Tenant } from './screens/tenants/tenant.tsx';
import { Tenants } from './screens/tenants/tenants.tsx';
import { Watch } from './screens/watches/watch.tsx';
import { Watches } from './screens/watches/watches.tsx';
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
  { path: 'problems', title: 'Problems', component: Problems, nav: 'watch', scope: 'read' },
  {
    path: 'tasks',
    title: 'Bulk operations',
    component: Operations,
    nav: 'watch',
    scope: 'read',
  },
  { path: 'tasks/new', title: 'New bulk operation', component: NewOperation, scope: 'manage' },
  { path: 'tasks/:task_id', title: 'Bulk operation', component: Operation, scope: 'read' },
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
  {
    path: 'event-types',
    title: 'Event types',
    component: EventTypes,
    nav: 'set up',
    scope: 'read',
  },
  { path: 'event-types/new', title: 'New event type', component: NewEventType, scope: 'manage' },
  { path: 'event-types/:event_type', title: 'Event type', component: EventType, scope: 'read' },
  {
    path: 'event-types/:event_type/edit',
    title: 'Edit event type',
    component: EditEventType,
    scope: 'manage',
  },
  { path: 'keys', title: 'Keys', component: Keys, nav: 'service', scope: 'admin' },
  { path: 'tenants', title: 'Tenants', component: Tenants, nav: 'service', scope: 'admin' },
  { path: 'tenants/:tenant_id', title: 'Tenant', component: Tenant, scope: 'admin' },
  { path: 'watches', title: 'Watched tables', component: Watches, nav: 'service', scope: 'admin' },
  { path: 'watches/:watch_id', title: 'Watched table', component: Watch, scope: 'admin' },
  { path: 'settings', title: 'Settings', component: Settings, nav: 'service', scope: 'admin' },
];
