
/*
 * marketing.sql — marketing automation: registration.
 */

SELECT tenancy.register_system('marketing', 'Marketing', 'marketing', 'pg_tenancy',
    'Marketing automation: campaigns, segments, content, lead scores, A/B tests, attribution');

SELECT tenancy.register_version('marketing', '1.0.0', $script$@1.0.0.sql@$script$, 'First version.');

SELECT tenancy.register_version('marketing', '1.1.0', $script$@1.1.0.sql@$script$,
    'Names in two parts, versions of content, paused campaigns, points that fade, attribution by what people did.',
    verify_sql => $script$@1.1.0--verify.sql@$script$);

SELECT tenancy.register_migration('marketing', '1.0.0', '1.1.0', $script$@1.0.0--1.1.0.sql@$script$,
    $script$@1.1.0--1.0.0.sql@$script$, 'Names are split, and content moves into versions.',
    verify_sql => $script$@1.1.0--verify.sql@$script$);

SELECT tenancy.register_sample_data('marketing', '1.1.0', $script$@sample_data.sql@$script$,
    $script$@sample_data--remove.sql@$script$);
