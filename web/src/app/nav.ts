import { Box, Database, GitCompareArrows, House, Layers, type LucideIcon, Settings } from 'lucide-react';

import { paths } from '@/lib/paths.ts';

import { t } from './messages.ts';

export type NavItem = {
  to: string;
  label: string;
  icon: LucideIcon;
  /** The second key after `g`. */
  key: string;
  /** Which figure of an engine stands beside it. */
  count?: 'containers' | 'images' | 'volumes';
  /** A line above it. */
  apart?: boolean;
};

/** The pages of the sidebar, in order. */
export const NAV: readonly NavItem[] = [
  { to: paths.dashboard(), label: t('dashboard'), icon: House, key: 'd' },
  { to: paths.containers(), label: t('containers'), icon: Box, key: 'c', count: 'containers' },
  { to: paths.images(), label: t('images'), icon: Layers, key: 'i', count: 'images' },
  { to: paths.volumes(), label: t('volumes'), icon: Database, key: 'v', count: 'volumes' },
  { to: paths.compare(), label: t('compare'), icon: GitCompareArrows, key: 'p', apart: true },
  { to: paths.settings(), label: t('settings'), icon: Settings, key: 't', apart: true },
];
