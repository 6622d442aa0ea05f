import type { ReactNode } from 'react';

import { PageHeader } from '@/ui/PageHeader.tsx';

export function SettingsPage(): ReactNode {
  return <PageHeader title="Settings" />;
}
