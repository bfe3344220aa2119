// All tests of the chart in one process: helm is built once, which takes minutes, and not by several files at the
// same time.
import './chart.ts';
import './network-policy.ts';
import './settings.ts';
