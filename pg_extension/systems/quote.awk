# quote.awk — copies its input; @FILE.sql@ becomes the text of that file, which is beside the input's.

{
	directory = FILENAME
	sub(/[^\/]*$/, "", directory)
	while (match($0, /@[A-Za-z0-9._-]+\.sql@/)) {
		printf "%s", substr($0, 1, RSTART - 1)
		copy(directory substr($0, RSTART + 1, RLENGTH - 2))
		$0 = substr($0, RSTART + RLENGTH)
	}
	print
}

function copy(file,    line, status)
{
	while ((status = (getline line < file)) > 0) {
		if (index(line, "$script$")) {
			printf "%s: holds the quote $script$\n", file > "/dev/stderr"
			exit 1
		}
		print line
	}
	if (status < 0) {
		printf "%s: cannot be read\n", file > "/dev/stderr"
		exit 1
	}
	close(file)
}
