# Prints for each group a table of ratios to its first case: wall time with its spread
# over the rounds, processor time, peak memory and what went to standard output.
function median(list, n,    i, j, t) {
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && list[j - 1] > list[j]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
	return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
{
	key = $1 "\t" $2
	if (!(key in count)) { keys[++total] = key; group[key] = $1; name[key] = $2 }
	n = ++count[key]
	wall[key, n] = $3; cpu[key, n] = $4
	if ($5 != "") { split($5, m, " "); memory[key] = m[1]; size[key] = m[2] }
	if (!($1 in first)) first[$1] = key
}
END {
	for (k = 1; k <= total; k++) {
		key = keys[k]; ref = first[group[key]]
		if (key == ref)
			printf "\n### %s\n\n| | time | spread | CPU | peak memory | output |\n|---|---|---|---|---|---|\n", group[key]
		n = count[key]
		for (i = 1; i <= n; i++) { r[i] = wall[key, i] / wall[ref, i]; c[i] = cpu[key, i] / cpu[ref, i] }
		mid = median(r, n)
		peak = out = ""
		if (key in memory) peak = sprintf("%.0f MiB", memory[key] / 1024)
		if (size[key] + 0 != 0) out = sprintf("%.1f MiB", size[key] / 1048576)
		label = name[key]
		gsub(/\|/, "\\|", label)
		printf("| %s | %.2f | %.2f–%.2f | %.2f | %s | %s |\n", label, mid, r[1], r[n], median(c, n), peak, out)
	}
}
