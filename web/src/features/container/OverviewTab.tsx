import type { ReactNode } from 'react';

export function OverviewTab(): ReactNode {
  return null;
}
